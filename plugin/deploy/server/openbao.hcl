# An OpenBao server that runs the MEK engine in production. Replace what is in <angle brackets>.
#
# OpenBao 2.5 or later registers the plugin itself from the `plugin` stanza below. The binary must be in
# plugin_directory before the server starts, owned by the server's user or root and writable by no one else.

storage "raft" {
  path    = "/openbao/data"
  node_id = "<node>"
}

listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/openbao/tls/tls.crt"
  tls_key_file  = "/openbao/tls/tls.key"
}

api_addr     = "https://<node>:8200"
cluster_addr = "https://<node>:8201"

plugin_directory     = "/openbao/plugins"
plugin_auto_register = true

# sha256sum: what `sha256sum openbao-plugin-secrets-mek` prints for the binary in plugin_directory.
# To upgrade, put the new binary there under another name, add a second stanza with its version, send the
# server SIGHUP, then: bao secrets tune -plugin-version=<new version> mek/ && bao plugin reload -plugin=mek
plugin "secret" "mek" {
  command   = "openbao-plugin-secrets-mek"
  version   = "v0.1.0"
  sha256sum = "<64 hexadecimal digits>"
}
