import COpenSSL
import Foundation
import SiteModel

/// What an agent shows and whom it believes, from one PEM file: its key, its certificate, and those of its authorities.
///
/// The first certificate is the agent's own. Of the others, those that vouch for themselves are believed, the rest are
/// shown along. One file, because it is exchanged whole: key and certificate never disagree.
///
/// Used by one thread, for one connection.
final class TLSIdentity {
    /// Larger files hold something else.
    private static let sizeLimit = 256 << 10

    let path: String
    private let certificates: [OpaquePointer]
    private let key: OpaquePointer

    /// Reads the file; `notAuthorized` when others may read it, `damaged` when something is missing in it.
    init(reading path: String) throws {
        self.path = path
        let text = try Self.text(of: path)
        guard let key = Self.withMemory(text, { PEM_read_bio_PrivateKey($0, nil, Self.noPassword, nil) }) else {
            throw Self.unusable(path, "holds no private key that can be read without a password")
        }
        self.key = key
        certificates = Self.withMemory(text) { memory in
            var all: [OpaquePointer] = []
            while let certificate = PEM_read_bio_X509(memory, nil, nil, nil) { all.append(certificate) }
            return all
        }
        // The end of a text is told as an error, too.
        ERR_clear_error()
        guard let own = certificates.first else { throw Self.unusable(path, "holds no certificate") }
        guard X509_check_private_key(own, key) == 1 else {
            throw Self.unusable(path, "begins with a certificate that is for another key")
        }
        guard certificates.dropFirst().contains(where: Self.vouchesForItself) else {
            throw Self.unusable(path, "holds no certificate of an authority after the agent's own")
        }
    }

    deinit {
        for certificate in certificates { X509_free(certificate) }
        EVP_PKEY_free(key)
    }

    /// Refuses a certificate that is not for the host that senders come to.
    func requireName(_ host: String) throws {
        let own = certificates[0]
        if X509_check_ip_asc(own, host, 0) == 1 || X509_check_host(own, host, 0, 0, nil) == 1 { return }
        ERR_clear_error()
        throw ReplicationError(
            .invalidArgument,
            "the certificate in \(path) is for \(CertificateWords.names(own)), and senders come to \(host)",
            hint: "issue one for that name (perilune authority issue \(host)), or listen on the name that it is for",
            context: ["path": path])
    }

    /// The agent's own certificate.
    var facts: CertificateFacts? { CertificateWords.facts(certificates[0], protocolVersion: "TLSv1.3") }

    /// The names that the certificate is for.
    var names: String { CertificateWords.names(certificates[0]) }

    /// A context for one connection, which its taker frees: TLS 1.3 alone, with a certificate asked of the peer.
    func makeContext() throws -> OpaquePointer {
        guard let context = SSL_CTX_new(TLS_method()) else { throw Self.unusable(path, "cannot be put to use") }
        // AES with 128 bits first: the quickest where processors have instructions for it.
        let suites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
        var good = copenssl_require_tls13(context) == 1 && SSL_CTX_set_ciphersuites(context, suites) == 1
        copenssl_set_modes(context)
        // No session is taken up again: each connection proves anew who its ends are. And no message comes after the
        // handshake that is not the peer's own, so that what can be read is content.
        good = good && SSL_CTX_set_num_tickets(context, 0) == 1
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        good =
            good && SSL_CTX_use_certificate(context, certificates[0]) == 1
            && SSL_CTX_use_PrivateKey(context, key) == 1
        for certificate in certificates.dropFirst() {
            good =
                good
                && (Self.vouchesForItself(certificate)
                    ? X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) == 1
                    : copenssl_add_to_chain(context, certificate) == 1)
        }
        guard good else {
            SSL_CTX_free(context)
            let words = TLSFailure.lastWords
            throw Self.unusable(path, "cannot be put to use (\(words))")
        }
        return context
    }

    private static func vouchesForItself(_ certificate: OpaquePointer) -> Bool {
        X509_check_issued(certificate, certificate) == Int32(X509_V_OK)
    }

    /// An encrypted key must not make OpenSSL ask at a terminal.
    private static let noPassword:
        @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?)
            -> Int32 = { _, _, _, _ in -1 }

    private static func text(of path: String) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw ReplicationError.system("opening the file with the agent's certificate", path: path, errno: errno)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw unusable(path, "is no file")
        }
        guard status.st_mode & 0o077 == 0, status.st_uid == geteuid() || status.st_uid == 0 else {
            throw ReplicationError(
                .notAuthorized, "the agent's key in \(path) could be read or exchanged by others",
                hint: "give the file to the agent's user, and to nobody else: chown and chmod 600 \(path)",
                context: ["path": path, "mode": "0" + String(status.st_mode & 0o777, radix: 8)])
        }
        guard status.st_size <= sizeLimit else { throw unusable(path, "is larger than \(sizeLimit >> 10) KiB") }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeMutableBytes {
                read(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            done += count
        }
        return Array(bytes.prefix(done))
    }

    private static func withMemory<Value>(_ text: [UInt8], _ body: (OpaquePointer?) -> Value) -> Value {
        text.withUnsafeBytes { bytes in
            let memory = BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count))
            defer { BIO_free(memory) }
            return body(memory)
        }
    }

    private static func unusable(_ path: String, _ what: String) -> ReplicationError {
        ReplicationError(
            .damaged, "the file \(path) \(what)",
            hint:
                "it must hold, as PEM, the agent's key, its certificate, and its authority's: perilune authority issue"
                + " makes such a file",
            context: ["path": path])
    }
}
