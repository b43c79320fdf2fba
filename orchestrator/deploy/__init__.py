"""An AWS deployment: described in `deploy.yaml`, planned, built, taken down."""
