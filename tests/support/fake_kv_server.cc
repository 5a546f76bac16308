#include "support/fake_kv_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/text.h"

namespace testing_support {
namespace {

using base::Json;

constexpr char kData[] = "services/all/kv/data/encryption/keys/stored_data";
constexpr char kMetadata[] = "services/all/kv/metadata/encryption/keys/stored_data";
constexpr char kTime[] = "2026-02-01T10:00:00.123456789Z";

void Require(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(what);
}

std::string HeaderOf(const std::string& head, const std::string& name) {
  const std::size_t at = head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return "";
  const std::size_t from = at + name.size() + 4;
  return head.substr(from, head.find("\r\n", from) - from);
}

Json Errors(std::string_view text) {
  Json body = Json::object();
  body["errors"] = Json::array();
  body["errors"].push_back(base::JsonText(text));
  return body;
}

std::string TextIn(const Json& object, std::string_view name) {
  const base::JsonString* text = base::FindString(object, name);
  return text == nullptr ? "" : std::string(*text);
}

Json List(const std::vector<std::string>& texts) {
  Json list = Json::array();
  for (const std::string& text : texts) list.push_back(base::JsonText(text));
  return list;
}

}  // namespace

// One connection, plain or TLS.
class FakeKvServer::Peer {
 public:
  Peer(int socket, SSL_CTX* context) : socket_(socket), ssl_(nullptr, &SSL_free) {
    if (context == nullptr) return;
    ssl_.reset(SSL_new(context));
    SSL_set_fd(ssl_.get(), socket_);
    good_ = SSL_accept(ssl_.get()) == 1;
  }
  ~Peer() {
    if (ssl_ != nullptr && good_) SSL_shutdown(ssl_.get());
    ssl_.reset();
    close(socket_);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  bool good() const { return good_; }
  std::string server_name() const {
    const char* name =
        ssl_ == nullptr ? nullptr : SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
    return name == nullptr ? "" : name;
  }
  bool Read(std::string& text) {
    std::array<char, 4096> buffer{};
    const auto got = ssl_ != nullptr
                         ? static_cast<ssize_t>(SSL_read(ssl_.get(), buffer.data(), buffer.size()))
                         : recv(socket_, buffer.data(), buffer.size(), 0);
    if (got <= 0) return false;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    return true;
  }
  void Write(std::string_view text) {
    if (ssl_ != nullptr) {
      SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
      return;
    }
    while (!text.empty()) {
      const ssize_t sent = send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

 private:
  const int socket_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  bool good_ = true;
};

FakeKvServer::FakeKvServer() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  Require(listener_ >= 0 && bind(listener_, generic, size) == 0 && listen(listener_, 16) == 0 &&
              getsockname(listener_, generic, &size) == 0,
          "no socket for the fake KV server");
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Serve(); });
}

FakeKvServer::~FakeKvServer() {
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  shutdown(listener_, SHUT_RDWR);
  thread_.join();
  close(listener_);
}

std::string FakeKvServer::UseTls(const std::string& names) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"),
                                                                &EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), &X509_free);
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("fake"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  X509_set_pubkey(certificate.get(), key.get());
  for (const auto& [id, value] : {std::pair<int, std::string>(NID_subject_alt_name, names),
                                  std::pair<int, std::string>(NID_basic_constraints, "CA:TRUE")}) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value.c_str());
    Require(extension != nullptr && X509_add_ext(certificate.get(), extension, -1) == 1,
            "no certificate for the fake KV server");
    X509_EXTENSION_free(extension);
  }
  Require(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0, "it can't be signed");
  tls_.reset(SSL_CTX_new(TLS_server_method()));
  Require(SSL_CTX_use_certificate(tls_.get(), certificate.get()) == 1 &&
              SSL_CTX_use_PrivateKey(tls_.get(), key.get()) == 1,
          "TLS can't be set up");
  const std::unique_ptr<BIO, decltype(&BIO_free)> pem(BIO_new(BIO_s_mem()), &BIO_free);
  PEM_write_bio_X509(pem.get(), certificate.get());
  char* text = nullptr;
  const auto size = BIO_get_mem_data(pem.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

std::string FakeKvServer::address(std::string_view host) const {
  return base::Cat(tls_ == nullptr ? "http://" : "https://", host, ":", port_);
}

void FakeKvServer::set_plan(Plan plan) {
  absl::MutexLock lock(&mutex_);
  plan_ = std::move(plan);
  calls_.clear();
}
void FakeKvServer::set_redirect_to(std::string location) {
  absl::MutexLock lock(&mutex_);
  redirect_to_ = std::move(location);
}
void FakeKvServer::set_chunked(bool chunked) {
  absl::MutexLock lock(&mutex_);
  chunked_ = chunked;
}
void FakeKvServer::set_delay(absl::Duration delay) {
  absl::MutexLock lock(&mutex_);
  delay_ = delay;
}
void FakeKvServer::set_delete_version_after(std::string of_secret, std::string of_mount) {
  absl::MutexLock lock(&mutex_);
  secret_keeps_ = std::move(of_secret);
  mount_keeps_ = std::move(of_mount);
}
void FakeKvServer::set_deletion_time(std::string time) {
  absl::MutexLock lock(&mutex_);
  versions_.at(current_).deletion_time = std::move(time);
}
void FakeKvServer::set_hand(Json data) {
  absl::MutexLock lock(&mutex_);
  hand_ = std::move(data);
}
void FakeKvServer::set_policy(std::vector<std::string> on_data,
                              std::vector<std::string> on_metadata) {
  absl::MutexLock lock(&mutex_);
  on_data_ = std::move(on_data);
  on_metadata_ = std::move(on_metadata);
}
void FakeKvServer::set_max_versions(std::uint64_t most) {
  absl::MutexLock lock(&mutex_);
  max_versions_ = most;
}
void FakeKvServer::set_cas_required(bool required) {
  absl::MutexLock lock(&mutex_);
  cas_required_ = required;
}
void FakeKvServer::set_token_ttl(int seconds, bool renewable) {
  absl::MutexLock lock(&mutex_);
  ttl_ = seconds;
  renewable_ = renewable;
}
void FakeKvServer::RevokeTokens() {
  absl::MutexLock lock(&mutex_);
  tokens_.clear();
}
void FakeKvServer::DeliverLate() {
  absl::MutexLock lock(&mutex_);
  if (late_) std::exchange(late_, nullptr)();
}
void FakeKvServer::AllowJwt(std::string jwt) {
  absl::MutexLock lock(&mutex_);
  jwts_.insert(std::move(jwt));
}
void FakeKvServer::Put(const Json& data) {
  absl::MutexLock lock(&mutex_);
  Add(data);
}
void FakeKvServer::Delete(std::uint64_t number, bool destroy) {
  absl::MutexLock lock(&mutex_);
  versions_.at(number) = Stored{.data = nullptr, .destroyed = destroy};
}
void FakeKvServer::DeleteAll() {
  absl::MutexLock lock(&mutex_);
  versions_.clear();
  has_metadata_ = false;
  current_ = 0;
  ++made_;
}
void FakeKvServer::PutMetadata() {
  absl::MutexLock lock(&mutex_);
  has_metadata_ = true;
}
std::uint64_t FakeKvServer::current() {
  absl::MutexLock lock(&mutex_);
  return current_;
}
Json FakeKvServer::data(std::uint64_t number) {
  absl::MutexLock lock(&mutex_);
  const auto at = versions_.find(number);
  return at == versions_.end() ? Json() : at->second.data;
}
std::vector<FakeKvServer::Call> FakeKvServer::calls() {
  absl::MutexLock lock(&mutex_);
  return calls_;
}
int FakeKvServer::CallsTo(std::string_view path_part) {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(std::ranges::count_if(calls_, [&](const Call& call) {
    return base::Cat(call.method, " ", call.path).find(path_part) != std::string::npos;
  }));
}

void FakeKvServer::Serve() {
  for (;;) {
    const int peer = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    {
      absl::MutexLock lock(&mutex_);
      if (stopped_) {
        if (peer >= 0) close(peer);
        break;
      }
    }
    if (peer >= 0) connections_.emplace_back([this, peer] { ServeOne(peer); });
  }
  for (std::thread& connection : connections_) connection.join();
}

void FakeKvServer::ServeOne(int socket) {
  Peer peer(socket, tls_.get());
  std::string text;
  std::size_t end = std::string::npos;
  while (peer.good() && (end = text.find("\r\n\r\n")) == std::string::npos) {
    if (!peer.Read(text)) return;
  }
  if (!peer.good()) return;
  const std::string head = text.substr(0, end);
  std::size_t length = 0;
  if (const std::string size = HeaderOf(head, "Content-Length"); !size.empty()) {
    Require(absl::SimpleAtoi(size, &length), "bad Content-Length");
  }
  while (text.size() < end + 4 + length) {
    if (!peer.Read(text)) return;
  }
  const std::string sent = text.substr(end + 4, length);
  Json body;
  if (length > 0) body = *base::ParseJson(sent);

  const std::size_t space = head.find(' ');
  const std::string target = head.substr(space + 1, head.find(' ', space + 1) - space - 1);
  Require(target.starts_with("/v1/"), "not the API");
  Reply reply;
  KvFault fault = KvFault::kNone;
  bool chunked = false;
  absl::Duration delay;
  std::string location;
  {
    absl::MutexLock lock(&mutex_);
    const Call call{static_cast<int>(calls_.size()) + 1,
                    head.substr(0, space),
                    target.substr(4),
                    HeaderOf(head, "X-Vault-Token"),
                    HeaderOf(head, "X-Vault-Namespace"),
                    peer.server_name()};
    calls_.push_back(call);
    if (plan_) fault = plan_(call);
    chunked = chunked_;
    delay = delay_;
    location = redirect_to_;
    switch (fault) {
      case KvFault::kLostBefore:
        return;
      case KvFault::kLate:
        late_ = [this, call, body] {
          mutex_.AssertHeld();
          Answer(call, body);
        };
        return;
      case KvFault::kLateFirst:
        if (late_) std::exchange(late_, nullptr)();
        reply = Answer(call, body);
        break;
      case KvFault::kErrorBefore:
        reply = {500, Errors("internal error")};
        break;
      case KvFault::kForbidden:
        reply = {403, Errors("permission denied")};
        break;
      case KvFault::kSealed:
        reply = {503, Errors("OpenBao is sealed")};
        break;
      case KvFault::kTimedOut:
        reply = {408, Errors("request timeout")};
        break;
      case KvFault::kTooLarge:
        reply = {413, Errors("http: request body too large")};
        break;
      case KvFault::kEcho:
        reply = {400, Errors(text)};
        break;
      case KvFault::kRedirectAfter:
        Answer(call, body);
        [[fallthrough]];
      case KvFault::kRedirect:
        reply = {307, nullptr};
        break;
      case KvFault::kConflictAfter:
        Answer(call, body);
        reply = Answer(call, body);
        break;
      case KvFault::kDestroyedAfter:
        Answer(call, body);
        versions_[current_] = Stored{.data = nullptr, .destroyed = true};
        reply = {500, Errors("internal error")};
        break;
      case KvFault::kNoRoute:
        reply = {404, Errors("no handler for route")};
        break;
      case KvFault::kStale: {
        auto newest = versions_.extract(current_);
        --current_;
        reply = Answer(call, body);
        ++current_;
        versions_.insert(std::move(newest));
        break;
      }
      case KvFault::kSlow:
      case KvFault::kGarbage:
        break;
      case KvFault::kRace:
        Add(hand_);
        reply = Answer(call, body);
        break;
      default:
        reply = Answer(call, body);
    }
  }
  if (fault == KvFault::kLostAfter) return;
  absl::SleepFor(delay);
  if (fault == KvFault::kSlow || fault == KvFault::kSlowAfter) {
    while (peer.Read(text)) {
    }
    return;
  }
  if (fault == KvFault::kGarbage) return peer.Write("SSH-2.0-OpenSSH_9.2\r\n");
  if (fault == KvFault::kErrorAfter) reply = {500, Errors("internal error")};
  const std::string json =
      reply.body.is_null() ? "" : std::string(base::DumpJson(reply.body)->view());
  std::string out =
      absl::StrCat("HTTP/1.1 ", reply.status, " Reason\r\nContent-Type: application/json\r\n");
  if (reply.status == 307) absl::StrAppend(&out, "Location: ", location, target, "\r\n");
  if (chunked) {
    absl::StrAppend(&out, "Transfer-Encoding: chunked\r\n\r\n");
    for (std::size_t at = 0; at < json.size(); at += 7) {
      const std::string piece = json.substr(at, 7);
      absl::StrAppend(&out, absl::Hex(piece.size()), "\r\n", piece, "\r\n");
    }
    out += "0\r\n\r\n";
  } else {
    absl::StrAppend(&out, "Content-Length: ", json.size(), "\r\n\r\n", json);
  }
  if (fault == KvFault::kInterim) {
    out.insert(0, "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n");
  }
  if (fault == KvFault::kCut) out.resize(out.size() - 5);
  peer.Write(out);
}

FakeKvServer::Reply FakeKvServer::Answer(const Call& call, const Json& body) {
  if (call.path.starts_with("auth/") && call.path.ends_with("/login")) return Login(call, body);
  if (call.path == "sys/wrapping/unwrap") {
    const auto at = wrapped_.find(call.token);
    if (at == wrapped_.end()) {
      return {400, Errors("wrapping token is not valid or does not exist")};
    }
    Json data = Json::object();
    data["secret_id"] = base::JsonText(at->second);
    wrapped_.erase(at);
    return {200, Json{{"data", data}}};
  }
  if (!tokens_.contains(call.token)) return {403, Errors("permission denied")};
  if (call.path.starts_with("auth/token/")) return OwnToken(call);
  if (call.path == "sys/capabilities-self") {
    Json data = Json::object();
    data[kData] = List(on_data_);
    data[kMetadata] = List(on_metadata_);
    return {200, Json{{"data", data}}};
  }
  if (call.path.starts_with(kData)) return call.method == "GET" ? Read(call) : Write(body);
  if (call.path == kMetadata) return Metadata();
  if (call.path == "services/all/kv/config") {
    Json data = Json::object();
    data["delete_version_after"] = base::JsonText(mount_keeps_);
    return {200, Json{{"data", data}}};
  }
  return {404, Errors("no handler for route")};
}

FakeKvServer::Reply FakeKvServer::Login(const Call& call, const Json& body) {
  const bool good =
      call.path == "auth/approle/login"
          ? TextIn(body, "role_id") == "role-1" && TextIn(body, "secret_id") == "secret-1"
          : TextIn(body, "role") == "reader" && jwts_.contains(TextIn(body, "jwt"));
  if (!good) return {400, Errors("invalid role or secret ID")};
  const std::string token = absl::StrCat("token-", ++made_tokens_);
  tokens_.insert(token);
  Json auth = Json::object();
  auth["client_token"] = base::JsonText(token);
  auth["lease_duration"] = ttl_;
  auth["renewable"] = renewable_;
  return {200, Json{{"auth", auth}}};
}

FakeKvServer::Reply FakeKvServer::OwnToken(const Call& call) {
  if (call.path == "auth/token/lookup-self") {
    return {200, Json{{"data", {{"ttl", ttl_}, {"renewable", renewable_}}}}};
  }
  if (call.path == "auth/token/revoke-self") {
    tokens_.erase(call.token);
    return {204, nullptr};
  }
  return {200, Json{{"auth", {{"lease_duration", ttl_}, {"renewable", renewable_}}}}};
}

FakeKvServer::Reply FakeKvServer::Read(const Call& call) {
  std::uint64_t number = current_;
  if (const std::size_t at = call.path.find("?version="); at != std::string::npos) {
    Require(absl::SimpleAtoi(call.path.substr(at + 9), &number), "bad version");
  }
  const auto at = versions_.find(number);
  if (at == versions_.end()) return {404, Json{{"errors", Json::array()}}};
  Json data = Json::object();
  data["data"] = at->second.data;
  data["metadata"] = Json{{"created_time", kTime},
                          {"deletion_time", at->second.data.is_null() ? kTime : ""},
                          {"destroyed", at->second.destroyed},
                          {"version", number}};
  return {at->second.data.is_null() ? 404 : 200, Json{{"data", data}}};
}

FakeKvServer::Reply FakeKvServer::Write(const Json& body) {
  const auto options = body.find("options");
  const bool has_cas = options != body.end() && options->contains("cas");
  if (!has_cas && cas_required_) {
    return {400, Errors("check-and-set parameter required for this call")};
  }
  if (has_cas && options->at("cas").get<std::uint64_t>() != current_) {
    return {400, Errors("check-and-set parameter did not match the current version")};
  }
  Add(body.at("data"));
  return {200, Json{{"data", {{"created_time", kTime}, {"version", current_}}}}};
}

FakeKvServer::Reply FakeKvServer::Metadata() {
  if (versions_.empty() && !has_metadata_) return {404, Json{{"errors", Json::array()}}};
  Json versions = Json::object();
  for (const auto& [number, stored] : versions_) {
    versions[base::JsonString(absl::StrCat(number))] = Json{
        {"created_time", kTime},
        {"deletion_time",
         base::JsonText(stored.data.is_null() ? std::string_view(kTime) : stored.deletion_time)},
        {"destroyed", stored.destroyed}};
  }
  Json data = Json::object();
  data["created_time"] = base::JsonText(absl::StrCat("2026-02-01T10:00:00.", made_, "Z"));
  data["current_version"] = current_;
  data["cas_required"] = cas_required_;
  data["max_versions"] = max_versions_;
  data["delete_version_after"] = base::JsonText(secret_keeps_);
  data["versions"] = versions;
  return {200, Json{{"data", data}}};
}

void FakeKvServer::Add(const Json& data) {
  // Go keeps no order of members: it writes them sorted.
  std::map<std::string, Json> sorted;
  for (const auto& [name, value] : data.items()) sorted.emplace(name, value);
  Json stored = Json::object();
  for (const auto& [name, value] : sorted) stored[base::JsonString(name)] = value;
  versions_[++current_] = Stored{.data = std::move(stored)};
  while (versions_.size() > max_versions_) versions_.erase(versions_.begin());
}

}  // namespace testing_support
