/// Leave for one server to register in one vault (reference 1.2).
///
/// The vault keeps the hash of the secret, never the secret: that is in the key file, which only its owner may read.
package struct RegistrationKey: SiteObject {
    package static let kind = "registration-key"
    /// Seconds that a key is valid: five days.
    package static let lifetime: Double = 5 * 24 * 3600

    package var id: String
    package var name: String { id }
    /// Id of the vault that issued it.
    package var vault: String
    package var parent: String? { vault }
    /// SHA-256 of the secret, in hexadecimal.
    package var hash: String
    package var issuedAt: Timestamp
    package var expiresAt: Timestamp
    package var revokedAt: Timestamp?
    /// Names of the servers that registered with it.
    package var usedBy: [String]

    package init(id: String, vault: String, hash: String, issuedAt: Timestamp) {
        self.id = id
        self.vault = vault
        self.hash = hash
        self.issuedAt = issuedAt
        self.expiresAt = issuedAt.advanced(bySeconds: Self.lifetime)
        self.usedBy = []
    }

    /// Why a key is good for nothing now; nil when it is good.
    package func problem(at now: Timestamp) -> RegistrationKeyProblem? {
        if revokedAt != nil { return .revoked }
        return now >= expiresAt ? .expired : nil
    }
}

/// Why a registration key is refused.
package enum RegistrationKeyProblem: String, Hashable, Sendable, CaseIterable {
    /// The text is no key.
    case unreadable
    /// Another vault issued it.
    case otherVault = "other-vault"
    /// The vault has issued no such key, or its secret is another.
    case unknown
    case revoked
    case expired

    package var sentence: String {
        switch self {
        case .unreadable: "the text is no registration key"
        case .otherVault: "the key was issued by another vault"
        case .unknown: "the vault has issued no such key"
        case .revoked: "the key was revoked"
        case .expired: "the key has expired: it was valid for five days"
        }
    }
}
