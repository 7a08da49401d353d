#include "server/certificates.h"

namespace holdfast::server {
namespace {

net::TlsAuth AuthOf(engine::TlsAuthClients option) {
  switch (option) {
    case engine::TlsAuthClients::kNo:
      return net::TlsAuth::kNo;
    case engine::TlsAuthClients::kOptional:
      return net::TlsAuth::kOptional;
    case engine::TlsAuthClients::kYes:
      break;
  }
  return net::TlsAuth::kYes;
}

}  // namespace

Result<std::shared_ptr<const net::TlsContext>> ReadCertificates(const engine::Config& config) {
  if (!config.UsesTls()) return std::shared_ptr<const net::TlsContext>();
  net::TlsOptions options;
  options.cert_file = config.tls_cert_file;
  options.key_file = config.tls_key_file;
  options.key_file_pass = config.tls_key_file_pass;
  options.client_cert_file = config.tls_client_cert_file;
  options.client_key_file = config.tls_client_key_file;
  options.client_key_file_pass = config.tls_client_key_file_pass;
  options.dh_params_file = config.tls_dh_params_file;
  options.ca_cert_file = config.tls_ca_cert_file;
  options.ca_cert_dir = config.tls_ca_cert_dir;
  options.auth_clients = AuthOf(config.tls_auth_clients);
  options.protocols = config.tls_protocols;
  options.ciphers = config.tls_ciphers;
  options.ciphersuites = config.tls_ciphersuites;
  options.prefer_server_ciphers = config.tls_prefer_server_ciphers;
  options.session_caching = config.tls_session_caching;
  options.session_cache_size = config.tls_session_cache_size;
  options.session_cache_timeout_s = config.tls_session_cache_timeout_s;
  options.peers = config.tls_cluster;
  return net::TlsContext::Build(options);
}

}  // namespace holdfast::server
