# mek-reader: for the services that encrypt with the keys (their OpenBao agents). The one shipped policy
# that shows key material: give it to nobody else.
#
# For an engine mounted at mek/: replace that prefix if yours is elsewhere.

# The record as KV v2 answers it, and at the path without data/ as agent templates for ESS read it.
path "mek/data/encryption/keys/stored_data" {
  capabilities = ["read"]
}
path "mek/encryption/keys/stored_data" {
  capabilities = ["read"]
}

# Versions and times, no material.
path "mek/metadata/*" {
  capabilities = ["read", "list"]
}

# Disabling the mount destroys every key for good. A deny wins over any other policy that the
# same token has.
path "sys/mounts/mek" {
  capabilities = ["deny"]
}
path "sys/mounts/mek/*" {
  capabilities = ["deny"]
}
