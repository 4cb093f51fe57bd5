package import SiteModel

/// Which vault this is, how often it has been promoted, and where it is shipped to.
///
/// All copies of a vault have one id. The copy that is promoted counts one epoch further, under a promotion of its own, and its
/// agents refuse the others from then on: so two copies never both act where an agent has heard of either.
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
    /// The last promotion; nil in a vault that was never promoted.
    package var promotion: PromotionMark?
    /// Ids of the promotions before it: those that this copy descends from, and those that it was promoted over by name.
    package var heirTo: [String]?
    /// Where the vault is shipped to; nil when nobody has named a second place.
    package var secondPlace: SecondPlace?
    /// Epoch of the copy that has taken this one's place: this one is written no more.
    package var supersededBy: Int?
    /// That copy's promotion, where it is known.
    package var supersededAs: PromotionMark?

    package init(id: String, epoch: Int = 1) {
        self.id = id
        self.epoch = epoch
    }

    private enum CodingKeys: String, CodingKey {
        case id, epoch, promotedAt, promotion, heirTo, secondPlace, supersededBy, supersededAs
    }

    /// Makes this copy the vault: one epoch further than it and whatever has taken its place, and heir to both.
    package mutating func promote(as mark: PromotionMark) {
        var heirTo = self.heirTo ?? []
        for before in [promotion?.id, supersededAs?.id].compactMap({ $0 }) where !heirTo.contains(before) {
            heirTo.append(before)
        }
        epoch = max(epoch, supersededBy ?? 0) + 1
        (promotedAt, promotion, self.heirTo) = (mark.at, mark, heirTo.isEmpty ? nil : heirTo)
        // Its second place was itself.
        (secondPlace, supersededBy, supersededAs) = (nil, nil, nil)
    }

    /// Why nothing is done in the name of this copy; nil when it is the vault.
    ///
    /// - Parameter path: the copy's file, for the message.
    package func refusal(_ path: String?) -> VaultError? {
        supersededBy.map { VaultError.superseded(by: $0, as: supersededAs, path) }
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

extension Vault {
    /// Writes into the vault that another copy of it has been promoted, and returns the error that says so.
    package func standBack(
        _ refused: VaultIdentity, for epoch: Int, as promotion: PromotionMark?, path: String? = nil
    ) async throws -> VaultError {
        try await write { vault in
            guard var stored = try vault.object(VaultIdentity.self, named: VaultIdentity.onlyName, parent: nil) else {
                return
            }
            // A refusal that comes late says nothing of a copy that was promoted meanwhile.
            guard stored.value.epoch == refused.epoch, stored.value.promotion == refused.promotion else { return }
            (stored.value.supersededBy, stored.value.supersededAs) = (epoch, promotion)
            try vault.update(stored)
        }
        return .superseded(by: epoch, as: promotion, path)
    }
}

extension VaultError {
    /// Another copy of this vault has been promoted.
    package static func superseded(by epoch: Int, as promotion: PromotionMark?, _ path: String?) -> VaultError {
        VaultError(
            .superseded,
            "Another copy of this vault was promoted (epoch \(epoch)\(promotion.map { ": \($0.words)" } ?? "")); "
                + "this one\(path.map { ", \($0)," } ?? "") is written no more.",
            hint:
                "Use the promoted one (--vault, PERILUNE_VAULT), and keep this file for what it may know that the other "
                + "does not. If the promoted one is lost, promote this one: hosts obey it from then on."
        )
    }
}
