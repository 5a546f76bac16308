#include "unit/goplugin/test_service.h"

#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/support/method_handler.h>

#include <functional>
#include <utility>

#include "base/turn.h"
#include "unit/goplugin/host.h"

namespace goplugin {
namespace {

// Every method takes a ConnInfo and gives one: a number and bytes.
using Message = TestService::Message;
using Base = google::protobuf::MessageLite;
using Handler = grpc::internal::RpcMethodHandler<TestService, Message, Message, Base, Base>;

constexpr char kEcho[] = "/test.Test/Echo";
constexpr char kRelay[] = "/test.Test/Relay";
constexpr char kHang[] = "/test.Test/Hang";

grpc::Status Call(const char* method, const std::shared_ptr<grpc::Channel>& channel,
                  std::uint32_t number, const std::string& bytes, std::string* answer) {
  grpc::ClientContext context;
  context.set_deadline(Soon());
  Message request;
  request.set_service_id(number);
  request.set_address(bytes);
  Message response;
  const grpc::internal::RpcMethod rpc(method, grpc::internal::RpcMethod::NORMAL_RPC);
  grpc::Status status = grpc::internal::BlockingUnaryCall<Message, Message, Base, Base>(
      channel.get(), rpc, &context, request, &response);
  if (answer != nullptr) *answer = response.address();
  return status;
}

using Answer = grpc::Status (TestService::*)(grpc::ServerContext*, const Message*, Message*);

grpc::internal::RpcServiceMethod* Method(const char* name, TestService* service, Answer answer) {
  return new grpc::internal::RpcServiceMethod(
      name, grpc::internal::RpcMethod::NORMAL_RPC,
      service == nullptr ? nullptr : new Handler(std::mem_fn(answer), service));
}

// As the compiler generates it for a service of these methods.
class AsyncTestService final : public grpc::Service {
 public:
  AsyncTestService() {
    for (const char* name : {kEcho, kRelay, kHang}) AddMethod(Method(name, nullptr, nullptr));
  }

  template <int method>
  void Request(grpc::ServerContext* context, Message* request,
               grpc::ServerAsyncResponseWriter<Message>* writer, grpc::CompletionQueue* call_queue,
               grpc::ServerCompletionQueue* queue, void* tag) {
    RequestAsyncUnary(method, context, request, writer, call_queue, queue, tag);
  }
};

}  // namespace

TestService::TestService(Broker* broker, base::Logger* logger) : broker_(broker), logger_(logger) {
  AddMethod(Method(kEcho, this, &TestService::Echo));
  AddMethod(Method(kRelay, this, &TestService::Relay));
  AddMethod(Method(kHang, this, &TestService::Hang));
}

void TestService::Register(Calls& calls) {
  auto& service = calls.Add<AsyncTestService>();
  calls.Answer(service, &AsyncTestService::Request<0>, std::bind_front(&TestService::Echo, this));
  calls.Answer(service, &AsyncTestService::Request<1>, std::bind_front(&TestService::Relay, this));
  calls.Answer(service, &AsyncTestService::Request<2>, std::bind_front(&TestService::Hang, this));
}

grpc::Status TestService::Echo(grpc::ServerContext*, const Message* in, Message* out) {
  *out = *in;
  return grpc::Status::OK;
}

grpc::Status TestService::Relay(grpc::ServerContext*, const Message* in, Message* out) {
  const auto connect = broker_->Locate(in->service_id(), kMaxDialWait);
  if (!connect.ok()) {
    return {static_cast<grpc::StatusCode>(connect.status().raw_code()),
            std::string(connect.status().message())};
  }
  base::PassTurnOn();
  std::string echoed;
  grpc::Status status = CallEcho((*connect)(), in->address(), &echoed);
  out->set_address(echoed);
  return status;
}

grpc::Status TestService::Hang(grpc::ServerContext*, const Message*, Message*) {
  base::PassTurnOn();
  hanging.Notify();
  if (logger_ != nullptr) logger_->Info("hanging");
  release_hanging.WaitForNotification();
  return grpc::Status::OK;
}

grpc::Status CallEcho(const std::shared_ptr<grpc::Channel>& channel, const std::string& bytes,
                      std::string* echoed) {
  return Call(kEcho, channel, 0, bytes, echoed);
}

grpc::Status CallRelay(const std::shared_ptr<grpc::Channel>& channel, std::uint32_t service_id,
                       const std::string& bytes, std::string* echoed) {
  return Call(kRelay, channel, service_id, bytes, echoed);
}

grpc::Status CallHang(const std::shared_ptr<grpc::Channel>& channel) {
  return Call(kHang, channel, 0, "", nullptr);
}

}  // namespace goplugin
