import Foundation
import SiteModel
import TestSupport

@testable import BlockReplication

/// Authorities of a test, and the files of agents that they vouch for.
struct TestAuthorities: Sendable {
    private let scratch: Scratch
    private let own: CertificateAuthority
    private let other: CertificateAuthority

    init() throws {
        scratch = try Scratch()
        own = CertificateAuthority(folder: scratch("own"))
        other = CertificateAuthority(folder: scratch("other"))
        for authority in [own, other] { _ = try authority.create(from: Self.now.advanced(bySeconds: -40 * 86_400)) }
    }

    static var now: Timestamp { Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)) }

    /// What an agent's file may hold.
    enum Kind: String, Sendable {
        case good, expired, future, ofOtherAuthority, forOtherHost, endingSoon
    }

    func path(_ agent: String) -> String { scratch(agent + ".pem") }

    /// Makes an agent's file, or puts another in its place; returns what the agent is started with.
    @discardableResult
    func issue(_ kind: Kind, to agent: String) throws -> DataSecurity {
        let day = 86_400.0
        let authority = kind == .ofOtherAuthority ? other : own
        let (offset, days): (Double, Int) =
            switch kind {
            case .expired: (-30 * day, 10)
            case .future: (10 * day, 10)
            case .endingSoon: (-30 * day, 40)
            default: (0, 10)
            }
        _ = try authority.issue(
            for: kind == .forOtherHost ? ["127.0.0.2", "b.example.org"] : ["127.0.0.1"], to: path(agent),
            from: Self.now.advanced(bySeconds: offset), days: days)
        return .tls(identity: path(agent))
    }

    /// The certificate of the authority, and an agent's own with its key, each as a file for the openssl program.
    var authorityFile: String { own.certificatePath }

    func remove() { scratch.remove() }
}

extension TwoSites {
    /// Runs a test's body between two agents with certificates.
    static func withTLS<Value: Sendable>(
        limits: AgentLimits = .patient, _ body: (TwoSites, TestAuthorities) async throws -> Value
    ) async throws -> Value {
        let authorities = try TestAuthorities()
        defer { authorities.remove() }
        let security = (a: try authorities.issue(.good, to: "a"), b: try authorities.issue(.good, to: "b"))
        return try await with(limits: limits, security: security) { try await body($0, authorities) }
    }
}

extension AgentLimits {
    /// For tests that are about something else than time, on a machine that is busy.
    static var patient: AgentLimits {
        var limits = AgentLimits()
        limits.helloSeconds = 120
        limits.handshakeSeconds = 120
        return limits
    }
}
