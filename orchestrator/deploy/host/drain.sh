#!/bin/bash
# Drains this machine before its end: watches its metadata for its group's word that it is to go and
# for a spot interruption, has the container send clients elsewhere, waits for what is pending, and
# tells the group to go on. The environment is drain.env beside this file.
set -uo pipefail # no -e: while the metadata service, Docker or AWS do not answer, it goes on
: "${ROLE:?}" "${REGION:?}" "${GROUP=}" "${HOOK=}" "${NOTICE_S:?}" "${DEADLINE_S:?}" "${SPOT_S:?}"
: "${HEARTBEAT_S:?}" "${STOP_S:?}" "${LOAD:?}" "${POLL_S:=5}" "${RETRY_S:=2}"
IMDS=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}
TOKEN=
ANSWER=
WHY=
ADVISED=

told() {
  echo "steelyard-drain: $1"
}

get() { # sets ANSWER. 0: it is there, 1: it is not, 2: no answer
  local reply
  ANSWER=
  if [ -z "$TOKEN" ]; then
    TOKEN=$(curl -sf -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 21600' \
      "$IMDS/latest/api/token") || { TOKEN= && return 2; }
  fi
  reply=$(curl -s -m 2 -w '\n%{http_code}' -H "X-aws-ec2-metadata-token: $TOKEN" \
    "$IMDS/latest/meta-data/$1") || return 2
  case ${reply##*$'\n'} in
    200) ANSWER=${reply%$'\n'*} ;;
    404) return 1 ;;
    401) TOKEN= && return 2 ;; # it has expired: a new one in the next round
    *) return 2 ;;
  esac
}

look() { # sets WHY to `hook`, `spot` or nothing; fails when nobody answers
  local there
  get autoscaling/target-lifecycle-state
  there=$?
  if [ $there = 2 ]; then return 1; fi
  if [ "$ANSWER" = Terminated ]; then WHY=hook && return 0; fi
  get spot/instance-action
  there=$?
  if [ $there = 2 ]; then return 1; fi
  if [ $there = 0 ]; then WHY=spot && return 0; fi
  if [ -z "$ADVISED" ] && get events/recommendations/rebalance; then
    ADVISED=yes
    told "rebalance recommended: $ANSWER"
  fi
}

watch() { # until there is a WHY
  local silent=
  while true; do
    if look; then
      if [ -n "$silent" ]; then told "the metadata service answers again"; fi
      silent=
      if [ -n "$WHY" ]; then return; fi
    elif [ -z "$silent" ]; then
      silent=yes
      told "the metadata service does not answer; trying on"
    fi
    sleep "$POLL_S"
  done
}

of_the_group() { # $1: an action of the hook, the rest: more arguments
  local action=$1
  shift
  aws autoscaling "$action" --region "$REGION" --auto-scaling-group-name "$GROUP" \
    --lifecycle-hook-name "$HOOK" --instance-id "$INSTANCE" \
    --cli-connect-timeout 2 --cli-read-timeout 5 "$@" 2>&1
}

beat() { # the hook may take less time than the drain
  if [ "$WHY" = hook ] && [ -n "$HOOK" ] && ((SECONDS - BEATEN >= HEARTBEAT_S)); then
    BEATEN=$SECONDS
    of_the_group record-lifecycle-action-heartbeat || told "no heartbeat"
  fi
}

rest() { # $1 seconds, or until the deadline
  local until=$((SECONDS + $1))
  while ((SECONDS < until && SECONDS < LIMIT)); do
    beat
    sleep 1
  done
}

pending() { # requests that the worker has not finished; nothing when it does not say
  curl -sf -m 2 "$LOAD" | sed -n 's/.*"pending": *\([0-9][0-9]*\).*/\1/p'
}

runs() {
  case $(docker inspect -f '{{.State.Running}}' steelyard 2>&1) in
    false | *"o such object"*) return 1 ;;
  esac
}

drain_worker() { # balancers see 503 on /readyz and send no more; who still asks is served
  local left='' zeros=0
  until docker kill --signal USR1 steelyard >/dev/null; do
    if ! runs || ((SECONDS >= LIMIT)); then told "the container takes no signal" && return; fi
    beat
    sleep 1
  done
  rest "$NOTICE_S"
  while ((SECONDS < LIMIT)); do
    left=$(pending)
    if [ "$left" = 0 ]; then zeros=$((zeros + 1)); else zeros=0; fi
    if ((zeros == 2)); then told "nothing is pending" && return; fi
    if [ -z "$left" ] && ! runs; then told "the container has ended" && return; fi
    beat
    sleep 1
  done
  told "deadline: ${left:-an unknown number of} requests are cut"
}

drain_balancer() { # its load balancer has been told by the group; its own drain is its end
  if ! runs; then told "the container has ended" && return; fi # a roll has drained it
  rest "$NOTICE_S"
  docker stop -t $((LIMIT > SECONDS ? LIMIT - SECONDS : 1)) steelyard >/dev/null &
  while kill -0 $! 2>/dev/null; do
    beat
    sleep 1
  done
}

complete() { # a hook that nobody completes ends by its own timeout
  local try said
  for try in 1 2 3 4 5; do
    if said=$(of_the_group complete-lifecycle-action --lifecycle-action-result CONTINUE); then
      told "completed" && return
    fi
    case $said in
      *"No active Lifecycle Action"*) told "was complete already" && return ;;
    esac
    told "try $try of 5 to complete: $said"
    sleep "$RETRY_S"
  done
  return 1
}

until get instance-id; do sleep "$POLL_S"; done
INSTANCE=$ANSWER
told "watching $INSTANCE"
watch
told "$WHY: draining"
SECONDS=0
BEATEN=0
LIMIT=$DEADLINE_S
if [ "$WHY" = spot ]; then LIMIT=$SPOT_S; fi
"drain_$ROLE"
if [ "$WHY" = spot ]; then
  docker stop -t "$STOP_S" steelyard >/dev/null || told "the container does not stop"
elif [ -n "$HOOK" ]; then
  complete
fi
