package import SiteModel

/// Which vault this is, how often it has been promoted, and where it is shipped to.
///
/// All copies of a vault have one id. The copy that is promoted counts one epoch further, and its agents refuse the others from
/// then on: so two copies never both act.
package struct VaultIdentity: SiteObject {
    package static let kind = "vault-identity"
    /// There is one in a vault.
    package static let onlyName = "identity"

    package var id: String
    package var name: String { Self.onlyName }
    package var parent: String? { nil }
    /// 1, and one more for each promotion.
    package var epoch: Int
    package var promotedAt: Timestamp?
    /// Where the vault is shipped to; nil when nobody has named a second place.
    package var secondPlace: SecondPlace?
    /// Epoch of the copy that has taken this one's place: this one is written no more.
    package var supersededBy: Int?

    package init(id: String, epoch: Int = 1) {
        self.id = id
        self.epoch = epoch
    }

    private enum CodingKeys: String, CodingKey {
        case id, epoch, promotedAt, secondPlace, supersededBy
    }
}

/// A second place for the vault, and when it last got all that there was.
package enum SecondPlace: Codable, Hashable, Sendable {
    /// A file that this machine can write: on a disk of another site, mounted here.
    case file(String)
    /// The store of a host's agent, by the host's id.
    case host(String)
}

extension Vault {
    /// The vault's identity; nil in one that has never had any.
    package func identity() async throws -> VaultIdentity? {
        try await read { try $0.object(VaultIdentity.self, named: VaultIdentity.onlyName, parent: nil)?.value }
    }

    /// Changes the vault's identity, made with `id` where there is none, and returns what it is then.
    @discardableResult
    package func changeIdentity(
        orNew id: String, _ change: @escaping @Sendable (inout VaultIdentity) throws -> Void
    ) async throws -> VaultIdentity {
        try await write { vault in
            var stored =
                try vault.object(VaultIdentity.self, named: VaultIdentity.onlyName, parent: nil)
                ?? vault.insert(VaultIdentity(id: id))
            let before = stored.value
            try change(&stored.value)
            return stored.value == before ? before : try vault.update(stored).value
        }
    }
}

extension VaultError {
    /// Another copy of this vault has been promoted.
    package static func superseded(by epoch: Int, _ path: String?) -> VaultError {
        VaultError(
            .superseded,
            "Another copy of this vault was promoted (epoch \(epoch)); this one\(path.map { ", \($0)," } ?? "") is written "
                + "no more.",
            hint:
                "Use the promoted one (--vault, PERILUNE_VAULT); keep this file for what it may know that the other does not."
        )
    }
}
