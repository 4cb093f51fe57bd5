package import SiteModel

/// A connection to be tried: to where, by which way, and what must be found there.
package struct EndpointProbe: Codable, Hashable, Sendable {
    /// What is expected to answer.
    package enum Service: String, Codable, Hashable, Sendable {
        /// Anything that takes a TCP connection.
        case tcp
        /// A TLS server with a certificate for this host name that its authorities vouch for.
        case tls
        /// Another agent's data address.
        case agent
    }

    /// An HTTP proxy that is asked to CONNECT.
    package struct Proxy: Codable, Hashable, Sendable {
        package var host: String
        package var port: UInt16

        package init(host: String, port: UInt16) {
            self.host = host
            self.port = port
        }
    }

    /// The longest time that one probe may take, in seconds.
    package static let longest = 30.0
    /// The most text of certificates that is taken in, in bytes.
    package static let authoritiesLimit = 256 << 10

    /// Name or number of the host.
    package var host: String
    package var port: UInt16
    package var service: Service
    /// Nil for a direct connection.
    package var proxy: Proxy?
    /// Certificates (PEM) of the authorities that may vouch for the server; nil for those of the machine.
    package var authorities: String?
    /// For all of it: name, connection, proxy and handshake.
    package var timeoutSeconds: Double

    package init(
        host: String, port: UInt16, service: Service, proxy: Proxy? = nil, authorities: String? = nil,
        timeoutSeconds: Double = 5
    ) {
        self.host = host
        self.port = port
        self.service = service
        self.proxy = proxy
        self.authorities = authorities
        self.timeoutSeconds = timeoutSeconds
    }
}

/// What came of a probe.
package struct EndpointOutcome: Codable, Hashable, Sendable {
    /// Numbers that the name stands for; empty when a proxy looks it up, or nobody knows it.
    package var addresses: [String]
    /// The number that was connected to: the proxy's, where there is one.
    package var connectedTo: String?
    package var seconds: Double
    /// What the server showed, also when it does not hold.
    package var certificate: CertificateFacts?
    /// Nil when all was as it must be.
    package var failure: EndpointFailure?

    package init(
        addresses: [String] = [], connectedTo: String? = nil, seconds: Double = 0,
        certificate: CertificateFacts? = nil, failure: EndpointFailure? = nil
    ) {
        self.addresses = addresses
        self.connectedTo = connectedTo
        self.seconds = seconds
        self.certificate = certificate
        self.failure = failure
    }
}

/// A server's certificate, as far as an operator wants to know it.
package struct CertificateFacts: Codable, Hashable, Sendable {
    package var subject: String
    package var issuer: String
    package var validFrom: Timestamp
    package var validUntil: Timestamp
    /// "TLSv1.3".
    package var protocolVersion: String

    package init(
        subject: String, issuer: String, validFrom: Timestamp, validUntil: Timestamp, protocolVersion: String
    ) {
        self.subject = subject
        self.issuer = issuer
        self.validFrom = validFrom
        self.validUntil = validUntil
        self.protocolVersion = protocolVersion
    }
}

/// Why a probe failed: each cause has a cure of its own.
package struct EndpointFailure: Error, Codable, Hashable, Sendable {
    package enum Cause: String, Codable, Hashable, Sendable, CaseIterable {
        /// The probe itself makes no sense.
        case invalid
        /// No number is known for the name.
        case nameUnknown
        /// Something at the address says no: nothing listens there, or a firewall rejects.
        case refused
        /// Nothing came back in time: the host is off, or a firewall drops.
        case timedOut
        /// There is no way to the address.
        case unreachable
        /// It answered, and closed the connection too early.
        case closed
        /// The proxy did not answer, or not as a proxy.
        case proxyFailed
        /// The proxy wants to know who asks.
        case proxyWantsPassword
        /// The proxy may not, or could not, connect to the endpoint.
        case proxyRefused
        /// What answers is no TLS server.
        case notTLS
        /// The two sides agree on no version, cipher or the like.
        case handshakeFailed
        case certificateExpired
        case certificateNotYetValid
        /// The server vouches for itself.
        case certificateSelfSigned
        /// No known authority vouches for it.
        case certificateUntrusted
        case certificateRevoked
        /// It is another host's.
        case certificateOfAnotherHost
        /// What answers is no agent of this version.
        case notAnAgent
    }

    package var cause: Cause
    /// What happened, with the names in it: one phrase.
    package var message: String

    package init(_ cause: Cause, _ message: String) {
        self.cause = cause
        self.message = message
    }
}
