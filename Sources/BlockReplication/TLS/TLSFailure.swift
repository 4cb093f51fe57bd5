import COpenSSL
import Foundation

/// What OpenSSL's numbers mean for who runs agents.
enum TLSFailure {
    /// Makes the certificate count only when it is for this host; the name is sent along unless it is a number.
    static func expect(_ host: String, _ ssl: OpaquePointer) throws {
        if X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1 { return }
        ERR_clear_error()
        guard copenssl_set_server_name(ssl, host) == 1, SSL_set1_host(ssl, host) == 1 else {
            throw ReplicationError(
                .invalidArgument, "'\(host)' is no name that a certificate can be for",
                hint: "let the agent listen on a host name or a number")
        }
    }

    /// Why a handshake failed: our own verdict on the peer's certificate, its word about ours, or neither.
    static func ofHandshake(_ ssl: OpaquePointer, _ role: TLSStream.Role, _ place: String) -> ReplicationError {
        let number = ERR_peek_error()
        if reason(of: number) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE {
            return error(.notAuthorized, "the sender shows no certificate", "start its agent with --tls FILE")
        }
        if reason(of: number) == SSL_R_CERTIFICATE_VERIFY_FAILED { return verdict(ssl, role, place) }
        return ofAlert(number) ?? other(number, place)
    }

    /// What the peer says of our certificate: in TLS 1.3 it comes when we believe the handshake to be over.
    static func ofReading(_ role: TLSStream.Role) -> ReplicationError {
        let number = ERR_peek_error()
        return ofAlert(number)
            ?? error(
                .disconnected, "the encrypted connection between the agents broke: \(lastWords)",
                "check the network between the sites, then start the cycle again; earlier points are intact")
    }

    static var noMemory: ReplicationError {
        error(.io, "no TLS connection can be made: \(lastWords)", "check this host's memory, then try again")
    }

    /// OpenSSL's own words for what went wrong first.
    static var lastWords: String {
        ERR_reason_error_string(ERR_peek_error()).map { String(cString: $0) } ?? "no reason given"
    }

    private static func verdict(_ ssl: OpaquePointer, _ role: TLSStream.Role, _ place: String) -> ReplicationError {
        let (whose, host) =
            switch role {
            case .sender(let host): ("the certificate of the agent at \(place)", host)
            case .receiver: ("the sender's certificate", "HOST")
            }
        let issue = "perilune authority issue \(host)"
        let result = SSL_get_verify_result(ssl)
        switch Int32(truncatingIfNeeded: result) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return error(
                .notAuthorized, "\(whose), or of its authority, has expired",
                "issue a new one (\(issue)) and put it in the old one's place: the agent reads it with its next"
                    + " connection")
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return error(
                .notAuthorized, "\(whose) is not valid yet",
                "check the clocks of both hosts, and of the authority")
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
            return error(
                .notAuthorized, "what answers at \(place) shows the certificate of another host",
                "if it is the right host, give it a certificate for that address: \(issue); if not, find out who"
                    + " answers there")
        default:
            let words = X509_verify_cert_error_string(result).map { String(cString: $0) } ?? "error \(result)"
            return error(
                .notAuthorized, "\(whose) is not from an authority that this agent believes: \(words)",
                "issue the certificates of both agents with the same authority: \(issue)")
        }
    }

    /// A peer that refuses sends an alert (RFC 8446, 6.2), which OpenSSL tells as its number above 1000.
    private static func ofAlert(_ number: UInt) -> ReplicationError? {
        let alert = reason(of: number) - SSL_AD_REASON_OFFSET
        guard (1...255).contains(alert) else { return nil }
        let cause: String
        switch alert {
        case SSL_AD_CERTIFICATE_EXPIRED: cause = "it has expired, or its authority's has"
        case SSL_AD_UNKNOWN_CA: cause = "it is not from an authority that the other agent believes"
        case SSL_AD_CERTIFICATE_REQUIRED: cause = "none was shown"
        case SSL_AD_BAD_CERTIFICATE, SSL_AD_UNSUPPORTED_CERTIFICATE, SSL_AD_CERTIFICATE_REVOKED,
            SSL_AD_CERTIFICATE_UNKNOWN:
            cause = lastWords
        case SSL_AD_PROTOCOL_VERSION:
            return error(
                .protocolViolation, "the two agents have no version of TLS in common",
                "run the same version of perilune at both sites: agents speak TLS 1.3")
        default:
            return error(
                .protocolViolation, "the other agent ended the TLS handshake: \(lastWords)",
                "run the same version of perilune at both sites")
        }
        return error(
            .notAuthorized, "the other agent refused this agent's certificate: \(cause)",
            "issue one with the other agent's authority (perilune authority issue HOST) and start this agent with it as"
                + " --tls FILE")
    }

    private static func other(_ number: UInt, _ place: String) -> ReplicationError {
        // These are what the first bytes of another protocol look like.
        let others = [
            SSL_R_WRONG_VERSION_NUMBER, SSL_R_PACKET_LENGTH_TOO_LONG, SSL_R_UNEXPECTED_MESSAGE, SSL_R_HTTP_REQUEST,
        ]
        return others.contains(reason(of: number))
            ? error(
                .protocolViolation, "what answers at \(place) does not speak TLS",
                "start the agent there with --tls FILE, and look whether another program answers")
            : error(
                .protocolViolation, "the TLS handshake with \(place) failed: \(lastWords)",
                "run the same version of perilune at both sites")
    }

    private static func reason(of number: UInt) -> Int32 { Int32(truncatingIfNeeded: number & 0x7F_FFFF) }

    private static func error(
        _ code: ReplicationError.Code, _ message: String, _ hint: String
    ) -> ReplicationError { ReplicationError(code, message, hint: hint) }
}
