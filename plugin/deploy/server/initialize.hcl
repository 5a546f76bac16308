# Self-initialization: mounts the engine and writes its policies once, at the very first start of a new
# server, beside openbao.hcl (`bao server -config=<folder>`). Needs a `seal` stanza for auto-unseal. Give
# the server your own way to log in too (here: Kubernetes' service accounts as JWTs), since no root token
# is handed out.

initialize "mek" {
  request "mount" {
    operation = "update"
    path      = "sys/mounts/mek"
    data = {
      type        = "mek"
      description = "Master Encryption Key"
    }
  }

  # `bao kv get`, `put`, `rollback` then work on mek/ as on KV version 2.
  request "kv-commands" {
    operation = "update"
    path      = "sys/mounts/mek/tune"
    data = {
      options = {
        version = "2"
      }
    }
  }

  request "policy-rotator" {
    operation = "update"
    path      = "sys/policies/acl/mek-rotator"
    data = {
      policy = {
        eval_source = "file"
        eval_type   = "string"
        path        = "/openbao/policies/mek-rotator.hcl"
      }
    }
  }

  request "policy-operator" {
    operation = "update"
    path      = "sys/policies/acl/mek-operator"
    data = {
      policy = {
        eval_source = "file"
        eval_type   = "string"
        path        = "/openbao/policies/mek-operator.hcl"
      }
    }
  }

  request "policy-reader" {
    operation = "update"
    path      = "sys/policies/acl/mek-reader"
    data = {
      policy = {
        eval_source = "file"
        eval_type   = "string"
        path        = "/openbao/policies/mek-reader.hcl"
      }
    }
  }

  request "policy-auditor" {
    operation = "update"
    path      = "sys/policies/acl/mek-auditor"
    data = {
      policy = {
        eval_source = "file"
        eval_type   = "string"
        path        = "/openbao/policies/mek-auditor.hcl"
      }
    }
  }
}
