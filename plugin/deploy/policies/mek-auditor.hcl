# mek-auditor: for those who watch over the keys. Sees what was done, when and by whom, each key's life,
# and whether all is well; no key material, and no way to change anything.
#
# For an engine mounted at mek/: replace that prefix if yours is elsewhere.

path "mek/status" {
  capabilities = ["read"]
}
path "mek/versions" {
  capabilities = ["list"]
}
path "mek/versions/*" {
  capabilities = ["read", "list"]
}
path "mek/keys" {
  capabilities = ["list"]
}
path "mek/keys/*" {
  capabilities = ["read", "list"]
}
path "mek/readers" {
  capabilities = ["list"]
}
path "mek/verify" {
  capabilities = ["read"]
}
path "mek/config" {
  capabilities = ["read"]
}

# Disabling the mount destroys every key for good. A deny wins over any other policy that the
# same token has.
path "sys/mounts/mek" {
  capabilities = ["deny"]
}
path "sys/mounts/mek/*" {
  capabilities = ["deny"]
}
