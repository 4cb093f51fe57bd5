import COpenSSL
import Foundation
import SiteModel

/// A TLS handshake as a client, up to the verdict on the server's certificate; nothing is sent after it.
///
/// OpenSSL works on memory alone. The socket's own calls move the bytes, so that time-outs and interrupts hold here as they
/// do everywhere, and a peer that goes raises no signal. A library rather than the `openssl` program: its verdict is a
/// number for each cause, where the program's words differ between releases.
enum TLSHandshake {
    struct Result {
        var certificate: CertificateFacts?
        /// Why the certificate does not hold.
        var failure: EndpointFailure?
    }

    /// Shakes hands over a connected socket.
    ///
    /// - Throws: `EndpointFailure` when there is no handshake at all, or what the socket throws.
    static func run(over socket: StreamSocket, _ probe: EndpointProbe) throws -> Result {
        guard let context = SSL_CTX_new(TLS_client_method()) else { throw broken("no TLS context can be made") }
        defer { SSL_CTX_free(context) }
        _ = copenssl_require_tls12(context)
        // The handshake goes on with a bad certificate, so that it can be shown; the verdict is asked for below.
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nil)
        try trust(probe.authorities, context)
        guard let ssl = SSL_new(context) else { throw broken("no TLS connection can be made") }
        defer { SSL_free(ssl) }
        try expect(probe.host, ssl)
        guard let input = BIO_new(BIO_s_mem()), let output = BIO_new(BIO_s_mem()) else {
            throw broken("no memory for a TLS connection")
        }
        SSL_set_bio(ssl, input, output)  // Takes both over.
        try shakeHands(ssl, socket, from: output, into: input, probe)
        let certificate = shown(ssl)
        return Result(certificate: certificate, failure: verdict(SSL_get_verify_result(ssl), probe, certificate))
    }

    /// Whom to believe: the certificates given, or those that the machine has.
    private static func trust(_ authorities: String?, _ context: OpaquePointer) throws(EndpointFailure) {
        guard let authorities else {
            SSL_CTX_set_default_verify_paths(context)
            return
        }
        var added = 0
        let text = Array(authorities.utf8)
        guard let memory = BIO_new_mem_buf(text, Int32(text.count)) else { throw broken("no memory") }
        defer { BIO_free(memory) }
        while let certificate = PEM_read_bio_X509(memory, nil, nil, nil) {
            if X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) == 1 { added += 1 }
            X509_free(certificate)
        }
        // The end of the text is told as an error, too.
        ERR_clear_error()
        guard added > 0 else {
            throw EndpointFailure(.invalid, "the authorities given for \"ca\" hold no certificate in PEM form")
        }
    }

    /// The name that the certificate must be for: sent as server name, unless it is a number.
    private static func expect(_ host: String, _ ssl: OpaquePointer) throws(EndpointFailure) {
        let parameters = SSL_get0_param(ssl)
        if X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1 { return }
        ERR_clear_error()
        guard copenssl_set_server_name(ssl, host) == 1, SSL_set1_host(ssl, host) == 1 else {
            throw EndpointFailure(.invalid, "'\(host)' cannot be asked for as a server name")
        }
    }

    private static func shakeHands(
        _ ssl: OpaquePointer, _ socket: StreamSocket, from output: OpaquePointer, into input: OpaquePointer,
        _ probe: EndpointProbe
    ) throws {
        let place = EndpointNames.joined(probe.host, probe.port)
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        SSL_set_connect_state(ssl)
        while true {
            ERR_clear_error()
            let result = SSL_do_handshake(ssl)
            let reason = SSL_get_error(ssl, result)
            while true {
                let count = BIO_read(output, &buffer, Int32(buffer.count))
                guard count > 0 else { break }
                try buffer.withUnsafeBytes {
                    try socket.send(UnsafeRawBufferPointer(rebasing: $0[..<Int(count)]), .empty)
                }
            }
            if result == 1 { return }
            guard reason == SSL_ERROR_WANT_READ else { throw refusal(place) }
            let count: Int
            do {
                count = try buffer.withUnsafeMutableBytes { try socket.receiveSome($0) }
            } catch let error as ReplicationError where error.code == .disconnected && socket.interrupt.reason == nil {
                throw EndpointFailure(.closed, "\(place) closed the connection during the TLS handshake")
            }
            guard BIO_write(input, buffer, Int32(count)) == Int32(count) else { throw broken("no memory") }
        }
    }

    /// What OpenSSL says of a handshake that failed.
    private static func refusal(_ place: String) -> EndpointFailure {
        let number = ERR_get_error()
        let words = ERR_reason_error_string(number).map { String(cString: $0) } ?? "no reason given"
        // These are what the first bytes of another protocol look like.
        let others = [
            SSL_R_WRONG_VERSION_NUMBER, SSL_R_PACKET_LENGTH_TOO_LONG, SSL_R_UNEXPECTED_MESSAGE, SSL_R_HTTP_REQUEST,
        ]
        let code = Int32(truncatingIfNeeded: number & 0x7F_FFFF)
        return others.contains(code)
            ? EndpointFailure(.notTLS, "what answers at \(place) does not speak TLS")
            : EndpointFailure(.handshakeFailed, "the TLS handshake with \(place) failed: \(words)")
    }

    private static func shown(_ ssl: OpaquePointer) -> CertificateFacts? {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return nil }
        defer { X509_free(certificate) }
        return CertificateWords.facts(
            certificate, protocolVersion: SSL_get_version(ssl).map { String(cString: $0) } ?? "TLS")
    }

    /// The cause in our words (X509_V_ERR of x509_vfy.h); nil when the certificate holds.
    private static func verdict(
        _ result: Int, _ probe: EndpointProbe, _ certificate: CertificateFacts?
    ) -> EndpointFailure? {
        let place = EndpointNames.joined(probe.host, probe.port)
        switch Int32(truncatingIfNeeded: result) {
        case X509_V_OK:
            return certificate == nil ? EndpointFailure(.handshakeFailed, "\(place) shows no certificate") : nil
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return EndpointFailure(.certificateExpired, "the certificate of \(place), or of its authority, has expired")
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return EndpointFailure(.certificateNotYetValid, "the certificate of \(place) is not valid yet")
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
            return EndpointFailure(.certificateSelfSigned, "\(place) shows a certificate that it signed itself")
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
            let shown = certificate.map { " (\($0.subject))" } ?? ""
            return EndpointFailure(
                .certificateOfAnotherHost, "the certificate that \(place) shows is another host's\(shown)")
        case X509_V_ERR_CERT_REVOKED:
            return EndpointFailure(.certificateRevoked, "the certificate of \(place) has been revoked")
        default:
            let words = X509_verify_cert_error_string(result).map { String(cString: $0) } ?? "error \(result)"
            let issuer = certificate.map { ", issued by \($0.issuer)" } ?? ""
            return EndpointFailure(
                .certificateUntrusted, "nobody trusted vouches for the certificate of \(place)\(issuer): \(words)")
        }
    }

    private static func broken(_ message: String) -> EndpointFailure { EndpointFailure(.handshakeFailed, message) }
}
