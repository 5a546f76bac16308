# mek-workflow: for whoever runs mek-rotate-and-copy.hcl. A workflow acts with its caller's
# rights, so this policy can read the keys and write the KV secret: prefer a mek-rotator, and readers that
# take the record from the engine, where you can.
#
# For an engine mounted at mek/ and a KV v2 at services/all/kv/: replace these if yours are elsewhere.

path "sys/workflows/execute/mek-rotate-and-copy" {
  capabilities = ["update"]
}
# A trace shows every key and the caller's token.
path "sys/workflows/trace/*" {
  capabilities = ["deny"]
}

path "mek/rotate" {
  capabilities = ["update"]
  # `force` rotates over a key that is still staged: an operator's decision.
  denied_parameters = {
    "force" = []
  }
}
path "mek/data/encryption/keys/stored_data" {
  capabilities = ["read"]
}
path "mek/status" {
  capabilities = ["read"]
}

path "services/all/kv/metadata/encryption/keys/stored_data" {
  capabilities = ["read"]
}
path "services/all/kv/data/encryption/keys/stored_data" {
  capabilities = ["create", "update"]
}

# Disabling the mount destroys every key for good. A deny wins over any other policy that the
# same token has.
path "sys/mounts/mek" {
  capabilities = ["deny"]
}
path "sys/mounts/mek/*" {
  capabilities = ["deny"]
}
