# What an instance does at its first boot. The lines above set REGION, REGISTRY, IMAGE (by digest),
# LOG_GROUP, PUBLISH and END_AFTER_MIN (0: never); environment and configuration are files that they wrote.
# Runs as root, HOME may be empty. Safe to run again.
set -Eeuo pipefail
export HOME=/root AWS_DEFAULT_REGION="$REGION"

told() {
  echo "steelyard-boot: $1" | tee /dev/console >&2
}
trap 'told "failed at line $LINENO with status $?"' ERR

imds() {
  local token
  token=$(curl -sSf --retry 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
    http://169.254.169.254/latest/api/token)
  curl -sSf --retry 5 -H "X-aws-ec2-metadata-token: $token" \
    "http://169.254.169.254/latest/meta-data/$1"
}

again() { # the network, the role and the registry may need a moment
  local pause_s
  for pause_s in 2 4 8 16 32; do
    if "$@"; then return 0; fi
    told "$* failed, again in $pause_s s"
    sleep "$pause_s"
  done
  "$@"
}

login() {
  aws ecr get-login-password | docker login --username AWS --password-stdin "$REGISTRY"
}

if [ "$END_AFTER_MIN" -gt 0 ]; then
  shutdown -h "+$END_AFTER_MIN" # the instance's shutdown behaviour is: terminate
fi
again dnf install -y -q docker
systemctl enable --now docker
again login
again docker pull -q "$IMAGE"

INSTANCE=$(imds instance-id)
docker rm -f steelyard >/dev/null 2>&1 || true
# PUBLISH holds several words on purpose.
# shellcheck disable=SC2086
docker run -d --name steelyard --restart unless-stopped $PUBLISH \
  --log-driver awslogs --log-opt "awslogs-region=$REGION" \
  --log-opt "awslogs-group=$LOG_GROUP" --log-opt "awslogs-stream=$INSTANCE" \
  --env-file /etc/steelyard/env --env "INSTANCE_ID=$INSTANCE" \
  --volume /etc/steelyard:/etc/steelyard:ro "$IMAGE"

cp /etc/steelyard/*.service /etc/systemd/system/
systemctl daemon-reload
systemctl enable --now steelyard steelyard-drain
told "started $IMAGE"
