// OpenSSL's C API as Swift can import it: what it defines as macros, or with a list of arguments, stands here as functions.
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>

static inline long copenssl_set_server_name(SSL *ssl, const char *name) { return SSL_set_tlsext_host_name(ssl, name); }
static inline long copenssl_require_tls12(SSL_CTX *context) {
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}
static inline long copenssl_require_tls13(SSL_CTX *context) {
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
}
static inline void copenssl_set_modes(SSL_CTX *context) {
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}
static inline EVP_PKEY *copenssl_new_key(void) { return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"); }
static inline int copenssl_add_to_chain(SSL_CTX *context, X509 *certificate) {
    return SSL_CTX_add1_chain_cert(context, certificate) == 1;
}

/// Both ways of a TLS connection: reads come from a socket that does not block, and what is written stays in `output`
/// until somebody takes it, so that many records leave with one call, and never with a signal.
typedef struct {
    int descriptor;
    /// errno of a read that failed.
    int failure;
    /// Set when the peer has closed its side.
    int ended;
    unsigned char *output;
    size_t used, capacity;
} copenssl_pipe;

static inline int copenssl_pipe_read(BIO *bio, char *data, int size) {
    copenssl_pipe *pipe = (copenssl_pipe *)BIO_get_data(bio);
    ssize_t count;
    BIO_clear_retry_flags(bio);
    do {
        count = recv(pipe->descriptor, data, (size_t)size, 0);
    } while (count < 0 && errno == EINTR);
    if (count == 0) pipe->ended = 1;
    if (count < 0) {
        if (errno == EAGAIN) BIO_set_retry_read(bio);
        else pipe->failure = errno;
    }
    return (int)count;
}

static inline int copenssl_pipe_write(BIO *bio, const char *data, int size) {
    copenssl_pipe *pipe = (copenssl_pipe *)BIO_get_data(bio);
    size_t room = pipe->capacity - pipe->used;
    size_t count = (size_t)size < room ? (size_t)size : room;
    BIO_clear_retry_flags(bio);
    if (count == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    memcpy(pipe->output + pipe->used, data, count);
    pipe->used += count;
    return (int)count;
}

static inline long copenssl_pipe_control(BIO *bio, int command, long number, void *pointer) {
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return ((copenssl_pipe *)BIO_get_data(bio))->ended;
    return 0;
}

/// Made once, and never freed: every connection refers to it.
static inline BIO_METHOD *copenssl_pipe_method(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "agent connection");
    if (method == NULL) return NULL;
    BIO_meth_set_read(method, copenssl_pipe_read);
    BIO_meth_set_write(method, copenssl_pipe_write);
    BIO_meth_set_ctrl(method, copenssl_pipe_control);
    return method;
}

/// The pipe stays its maker's and must outlive the BIO.
static inline BIO *copenssl_new_pipe(BIO_METHOD *method, copenssl_pipe *pipe) {
    BIO *bio = BIO_new(method);
    if (bio == NULL) return NULL;
    BIO_set_data(bio, pipe);
    BIO_set_init(bio, 1);
    return bio;
}
