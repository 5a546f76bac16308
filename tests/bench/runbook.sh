#!/bin/bash
# The rotation as it is done by hand today, with its own commands: the baseline of scripts/bench.
# Where the runbook has `kubectl exec … -- sh -c "…"` there is `sh -c "…"`, so kubectl costs nothing.
#
# usage: BAO_ADDR=… BAO_TOKEN=… runbook.sh KV-MOUNT
set -euo pipefail
secret=$1/encryption/keys/stored_data

# Step 1: a backup.
backup=$(mktemp)
trap 'rm -f "$backup"' EXIT
sh -c "bao kv get -format=json $secret" >"$backup"

# Step 2: a kid and a key.
kid=$(python3 -c 'import uuid; print(uuid.uuid1())')
k=$(python3 -c 'import base64, secrets
print(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("="))')

# Step 3: the key goes in front.
old=$(sh -c "bao kv get -field=keys $secret")
new=$(base64 -d <<<"$old" | python3 -c "import base64, json, sys
jwks = json.load(sys.stdin)
jwks['keys'].insert(0, {'kty': 'oct', 'use': 'enc', 'kid': '$kid', 'k': '$k', 'alg': 'A256GCM'})
print(base64.b64encode(json.dumps(jwks).encode()).decode())")

# Step 4: all four fields are written.
sh -c "bao kv put $secret keys='$new' current_kid='$kid' private_jwks='$new' \
  jwe_mapping='{\"payload_jwe_kid\":\"$kid\"}'" >/dev/null

# Step 5: what is there now?
[[ $(sh -c "bao kv get -field=current_kid $secret") == "$kid" ]]
