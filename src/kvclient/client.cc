#include "kvclient/client.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "base/status_macros.h"
#include "base/text.h"

namespace kvclient {
namespace {

using base::Cat;
using base::Json;

constexpr std::size_t kMaxJwt = 64 << 10;
// A secret's metadata has a member for each version: as many as its entry of 1 MiB can hold.
constexpr std::size_t kMaxReplyMembers = 30'000;
// After a renewal that failed while the token is still good.
constexpr absl::Duration kTryAgain = absl::Seconds(30);
// A refusal leads to no new login so soon after another one did.
constexpr absl::Duration kBetweenLogins = absl::Minutes(1);
constexpr absl::Duration kRevoking = absl::Seconds(1);

// What a server may say that helps, and shows nothing.
constexpr std::string_view kPhrases[] = {
    "permission denied",
    "check-and-set parameter required",
    "check-and-set parameter did not match",
    "invalid role or secret ID",
    "invalid role ID",
    "invalid secret id",
    "missing client token",
    "wrapping token is not valid or does not exist",
    "no handler for route",
    "unsupported path",
    "role could not be found",
    "invalid audience",
    "token is expired",
    "error validating token",
    "is sealed",
    "namespace not found",
    "request body too large",
};

std::string_view PhraseIn(const Json& body) {
  const Json* errors = base::FindMember(body, "errors");
  if (errors == nullptr || !errors->is_array()) return "";
  for (const Json& error : *errors) {
    const auto* text = error.get_ptr<const base::JsonString*>();
    if (text == nullptr) continue;
    for (const std::string_view phrase : kPhrases) {
      if (text->find(phrase) != base::JsonString::npos) return phrase;
    }
  }
  return "";
}

// The text of a file that holds one JSON Web Token (RFC 7519 section 3: three parts of base64url).
// Nothing else is ever sent, whatever path an operator writes.
absl::StatusOr<base::SecretBytes> ReadJwt(const std::string& path) {
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  // Whatever is wrong has one text, which tells nothing of the server's files.
  const absl::Status none = absl::FailedPreconditionError(
      "jwt_path leads to no file with one JSON Web Token that can be read: it must be there on "
      "every node of this server, and the server's user must be allowed to read it");
  // A pipe would wait for its writer.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info {};
  if (descriptor < 0) return none;
  const std::unique_ptr<std::FILE, Close> file(fdopen(descriptor, "r"));
  if (file == nullptr) {
    close(descriptor);
    return none;
  }
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) return none;
  std::setvbuf(file.get(), nullptr, _IONBF, 0);  // a buffer would keep the text
  base::SecretBytes text(kMaxJwt);
  const std::size_t size = std::fread(text.mutable_span().data(), 1, kMaxJwt, file.get());
  text.Truncate(size);
  while (!text.empty() && absl::ascii_isspace(static_cast<unsigned char>(text.view().back()))) {
    text.Truncate(text.size() - 1);
  }
  const bool is_jwt =
      std::ranges::count(text.view(), '.') == 2 && std::ranges::all_of(text.view(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' ||
               c == '.';
      });
  if (!is_jwt) return none;
  return text;
}

absl::Status NeverReached(absl::Status status) {
  MarkNeverSent(status);
  return status;
}

}  // namespace

bool IsTrue(const Json& object, std::string_view name) {
  const Json* value = base::FindMember(object, name);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

const Json* Reply::Object(std::string_view name) const {
  const Json* member = base::FindMember(body, name);
  return member != nullptr && member->is_object() ? member : nullptr;
}

absl::Status ToStatus(const Reply& reply, std::string_view what) {
  const std::string_view phrase = PhraseIn(reply.body);
  const std::string why =
      Cat(what, ": the server answered ", reply.status, phrase.empty() ? "" : ", ", phrase);
  if (reply.status == 413) return absl::ResourceExhaustedError(why);
  if (reply.status == 429 || reply.status >= 500 || (reply.status >= 470 && reply.status < 480)) {
    return absl::UnavailableError(why);
  }
  if (reply.status == 403) {
    return absl::FailedPreconditionError(
        Cat(why,
            ". The token is not valid, or its policy lacks something there: read config/home says "
            "what, once it is set, and plugin/deploy/kv/mek-kv-writer.hcl has all of it"));
  }
  return absl::FailedPreconditionError(why);
}

absl::StatusOr<std::unique_ptr<Client>> Client::New(Settings settings, base::Clock* clock,
                                                    Timeouts timeouts) {
  RETURN_IF_ERROR(settings.Check());
  ASSIGN_OR_RETURN(Address address, ParseAddress(settings.address));
  address.server_name = settings.tls_server_name;
  TlsContext context;
  if (address.tls) {
    ASSIGN_OR_RETURN(context, NewTlsContext(settings.ca_cert));
  }
  return std::unique_ptr<Client>(
      new Client(std::move(settings), std::move(address), std::move(context), clock, timeouts));
}

Client::Client(Settings settings, Address address, TlsContext context, base::Clock* clock,
               Timeouts timeouts)
    : settings_(std::move(settings)),
      address_(std::move(address)),
      context_(std::move(context)),
      clock_(clock),
      timeouts_(timeouts) {}

absl::StatusOr<Reply> Client::Send(std::string_view method, std::string_view path,
                                   std::string_view token, const Json& body) {
  base::SecretBytes text;
  if (!body.is_null()) {
    ASSIGN_OR_RETURN(text, base::DumpJson(body));
  }
  HttpRequest request{
      .method = method, .target = Cat("/v1/", path), .headers = {}, .body = text.view()};
  request.headers.push_back({"X-Vault-Request", "true"});
  if (!token.empty()) request.headers.push_back({"X-Vault-Token", token});
  if (!settings_.name_space.empty()) {
    request.headers.push_back({"X-Vault-Namespace", settings_.name_space});
  }
  absl::StatusOr<HttpResponse> response =
      Exchange(address_, context_.get(), request, timeouts_, *Allowance::OfThread());
  bool redirected = false;
  if (response.ok() && response->status >= 300 && response->status < 400) {
    redirected = true;
    response = Follow(*response, std::move(request));
  }
  if (!response.ok()) {
    absl::Status status = absl::UnavailableError(
        Cat("the KV server at ", address_.Authority(), ": ", response.status().message()));
    // A standby redirects also when its forwarding failed after the effect.
    if (!redirected && NeverSent(response.status())) MarkNeverSent(status);
    return status;
  }
  Reply reply{.status = response->status, .body = nullptr, .redirected = redirected};
  if (!response->body.empty()) {
    absl::StatusOr<Json> parsed = base::ParseJson(response->body.view(), kMaxReplyMembers);
    if (parsed.ok() && parsed->is_object()) {
      reply.body = *std::move(parsed);
    } else if (reply.ok()) {
      return absl::UnavailableError(Cat("the KV server at ", address_.Authority(),
                                        ": the answer is not OpenBao's: is this its address?"));
    }
  }
  return reply;
}

// One redirect at most, within the same host and never from TLS to plain text: a token goes nowhere
// else.
absl::StatusOr<HttpResponse> Client::Follow(const HttpResponse& redirect, HttpRequest request) {
  const bool keeps_method = redirect.status == 307 || redirect.status == 308 ||
                            (request.method == "GET" && redirect.status < 303);
  std::string_view where = redirect.location;
  Address address = address_;
  address.prefix.clear();
  if (!where.starts_with('/')) {
    const std::size_t scheme = where.find("://");
    const std::size_t path =
        scheme == std::string_view::npos ? scheme : where.find('/', scheme + 3);
    if (path == std::string_view::npos) return absl::UnavailableError("a redirect leads nowhere");
    const absl::StatusOr<Address> other = ParseAddress(where.substr(0, path));
    if (!other.ok()) return absl::UnavailableError("a redirect leads nowhere");
    address = *other;
    address.server_name = address_.server_name;
    where.remove_prefix(path);
  }
  const bool is_plain = std::ranges::all_of(
      where, [](char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)); });
  if (!keeps_method || !is_plain || address.host != address_.host || address.tls != address_.tls) {
    return absl::UnavailableError(
        "it redirects to another server, which is not followed: set address to the one that "
        "answers by itself");
  }
  request.target = std::string(where);
  ASSIGN_OR_RETURN(HttpResponse response,
                   Exchange(address, context_.get(), request, timeouts_, *Allowance::OfThread()));
  if (response.status >= 300 && response.status < 400) {
    return absl::UnavailableError("it redirects more than once");
  }
  return response;
}

absl::StatusOr<Reply> Client::Ask(std::string_view method, std::string_view path,
                                  const Json& body) {
  std::optional<Allowance> own;
  if (Allowance::OfThread() == nullptr) own.emplace(timeouts_.total);
  const absl::StatusOr<SharedToken> token = GoodToken();
  if (!token.ok()) return NeverReached(token.status());
  return Send(method, path, (*token)->value.view(), body);
}

absl::StatusOr<Reply> Client::Call(std::string_view method, std::string_view path,
                                   const Json& body) {
  std::optional<Allowance> own;
  if (Allowance::OfThread() == nullptr) own.emplace(timeouts_.total);
  absl::StatusOr<SharedToken> token = GoodToken();
  if (!token.ok()) return NeverReached(token.status());
  ASSIGN_OR_RETURN(Reply reply, Send(method, path, (*token)->value.view(), body));
  if (reply.status != 403) return reply;
  // The token may have been revoked: one new login, one more try.
  token = AnotherToken(*token);
  if (token.ok() && *token == nullptr) return reply;
  absl::StatusOr<Reply> again = token.ok() ? Send(method, path, (*token)->value.view(), body)
                                           : absl::StatusOr<Reply>(NeverReached(token.status()));
  if (reply.redirected) {
    // Of what was sent first, not all is known to have been refused.
    if (!again.ok()) return absl::Status(again.status().code(), again.status().message());
    again->redirected = true;
  }
  return again;
}

Client::Token Client::Token::Clone() const {
  return {.value = value.Clone(),
          .renew_at = renew_at,
          .expires_at = expires_at,
          .life = life,
          .renewable = renewable,
          .logged_in = logged_in,
          .after_refusal = after_refusal};
}

absl::StatusOr<Client::SharedToken> Client::GoodToken() {
  SharedToken token;
  {
    absl::MutexLock lock(&mutex_);
    token = token_;
  }
  const absl::Duration now = clock_->Monotonic();
  if (token != nullptr && now < token->renew_at) return token;
  const bool expired = token == nullptr || now >= token->expires_at;
  absl::StatusOr<Token> next = expired ? NewToken() : NextToken(*token);
  if (next.ok()) return Keep(*std::move(next), token);
  if (expired) return next.status();
  Token same = token->Clone();
  same.renew_at = now + kTryAgain;
  return Keep(std::move(same), token);
}

absl::StatusOr<Client::SharedToken> Client::AnotherToken(const SharedToken& refused) {
  {
    absl::MutexLock lock(&mutex_);
    if (token_ != refused && token_ != nullptr) return token_;
  }
  // One of the same role may do no more than one that was got for this a moment ago.
  if (!refused->logged_in.has_value() ||
      (refused->after_refusal && clock_->Monotonic() - *refused->logged_in < kBetweenLogins)) {
    return SharedToken();
  }
  ASSIGN_OR_RETURN(Token token, LogIn());
  token.after_refusal = true;
  return Keep(std::move(token), refused);
}

absl::StatusOr<Client::Token> Client::NextToken(const Token& old) {
  const bool is_given = settings_.auth_method == AuthMethod::kToken;
  if (old.renewable) {
    absl::StatusOr<Token> renewed = Renew(old);
    if (renewed.ok() || is_given || absl::IsUnavailable(renewed.status())) return renewed;
  }
  return NewToken();
}

Client::SharedToken Client::Keep(Token token, const SharedToken& old) {
  SharedToken kept = std::make_shared<const Token>(std::move(token));
  SharedToken unused = old;
  {
    absl::MutexLock lock(&mutex_);
    if (token_ != old && token_ != nullptr) {
      unused = std::exchange(kept, token_);
    } else {
      token_ = kept;
    }
  }
  if (unused != nullptr && unused->value != kept->value) Revoke(*unused);
  return kept;
}

void Client::Revoke(const Token& token) {
  if (!token.logged_in.has_value() || clock_->Monotonic() >= token.expires_at) return;
  // It is of no use to anybody, and expires by itself.
  const Allowance brief = Allowance::AtMost(kRevoking);
  Send("POST", "auth/token/revoke-self", token.value.view(), Json::object()).status().IgnoreError();
}

absl::StatusOr<Client::Token> Client::NewToken() {
  return settings_.auth_method == AuthMethod::kToken ? LookUp() : LogIn();
}

Client::Token Client::TokenOf(base::SecretBytes value, const Json& lease, std::string_view ttl) {
  Token token{.value = std::move(value)};
  const Json* seconds = base::FindMember(lease, ttl);
  const std::int64_t number =
      seconds != nullptr && seconds->is_number_unsigned() ? seconds->get<std::int64_t>() : 0;
  const absl::Duration life = absl::Seconds(std::min<std::int64_t>(number, 1 << 30));
  if (life > absl::ZeroDuration()) {
    const absl::Duration now = clock_->Monotonic();
    token.renew_at = now + life * 2 / 3;
    token.expires_at = now + life;
    token.life = life;
  }
  return token;
}

absl::StatusOr<Client::Token> Client::LogIn() {
  Json body = Json::object();
  if (settings_.auth_method == AuthMethod::kApprole) {
    body["role_id"] = base::JsonText(settings_.role_id);
    if (!settings_.secret_id.empty())
      body["secret_id"] = base::JsonText(settings_.secret_id.view());
  } else {
    ASSIGN_OR_RETURN(const base::SecretBytes jwt, ReadJwt(settings_.jwt_path));
    body["role"] = base::JsonText(settings_.role);
    body["jwt"] = base::JsonText(jwt.view());
  }
  const std::string path = Cat("auth/", settings_.login_mount(), "/login");
  ASSIGN_OR_RETURN(const Reply reply, Send("POST", path, "", body));
  if (!reply.ok()) return ToStatus(reply, Cat("the login at ", path, " is refused"));
  const Json* auth = reply.Object("auth");
  const base::JsonString* token =
      auth == nullptr ? nullptr : base::FindString(*auth, "client_token");
  if (token == nullptr || token->empty() || !std::ranges::all_of(*token, [](char c) {
        return absl::ascii_isgraph(static_cast<unsigned char>(c));
      })) {
    return absl::UnavailableError(Cat("the login at ", path, " gave no token"));
  }
  Token own = TokenOf(base::SecretBytes(std::string_view(*token)), *auth, "lease_duration");
  own.renewable = IsTrue(*auth, "renewable");
  own.logged_in = clock_->Monotonic();
  return own;
}

// A token that was given is renewed by itself, as long as it can be.
absl::StatusOr<Client::Token> Client::LookUp() {
  Token token{.value = settings_.token.Clone()};
  ASSIGN_OR_RETURN(const Reply reply,
                   Send("GET", "auth/token/lookup-self", token.value.view(), nullptr));
  // Without the right to look itself up it may still be good for the rest.
  if (reply.status == 403 || reply.status == 404) return token;
  const Json* data = reply.ok() ? reply.Object("data") : nullptr;
  if (data == nullptr) return ToStatus(reply, "the token can't be looked up");
  token = TokenOf(std::move(token.value), *data, "ttl");
  token.renewable = IsTrue(*data, "renewable");
  if (!token.renewable) token.renew_at = absl::InfiniteDuration();
  return token;
}

absl::StatusOr<Client::Token> Client::Renew(const Token& old) {
  ASSIGN_OR_RETURN(const Reply reply,
                   Send("POST", "auth/token/renew-self", old.value.view(), Json::object()));
  const Json* auth = reply.ok() ? reply.Object("auth") : nullptr;
  if (auth == nullptr) return ToStatus(reply, "the token can't be renewed");
  Token token = TokenOf(old.value.Clone(), *auth, "lease_duration");
  token.logged_in = old.logged_in;
  token.after_refusal = old.after_refusal;
  // A shorter life than before is what is left of the longest that it may have.
  token.renewable = settings_.auth_method == AuthMethod::kToken || token.life >= old.life;
  return token;
}

absl::Status Client::CheckLogin() {
  std::optional<Allowance> own;
  if (Allowance::OfThread() == nullptr) own.emplace(timeouts_.total);
  return GoodToken().status();
}

absl::StatusOr<base::SecretBytes> Client::UnwrapSecretId(const base::SecretBytes& wrapping_token) {
  if (!IsPlain(wrapping_token.view())) {
    return absl::InvalidArgumentError(
        "wrapped_secret_id: expected a wrapping token, in one word. Nothing was changed");
  }
  std::optional<Allowance> own;
  if (Allowance::OfThread() == nullptr) own.emplace(timeouts_.total);
  ASSIGN_OR_RETURN(const Reply reply,
                   Send("POST", "sys/wrapping/unwrap", wrapping_token.view(), Json::object()));
  if (!reply.ok()) {
    return absl::FailedPreconditionError(
        Cat(ToStatus(reply, "wrapped_secret_id can't be unwrapped").message(),
            ". If nobody here has used it before, somebody else has: revoke that secret id. Make a "
            "new one"));
  }
  const Json* data = reply.Object("data");
  const base::JsonString* secret_id =
      data == nullptr ? nullptr : base::FindString(*data, "secret_id");
  if (secret_id == nullptr || secret_id->empty()) {
    return absl::FailedPreconditionError("wrapped_secret_id holds no secret id of an AppRole");
  }
  return base::SecretBytes(std::string_view(*secret_id));
}

}  // namespace kvclient
