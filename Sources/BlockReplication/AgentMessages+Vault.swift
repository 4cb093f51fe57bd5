// The vault, as agents know it: which copy of it asks, and a copy to keep.

package import Foundation
package import SiteModel

/// Which vault asks, and which of its copies.
package struct VaultStanding: Codable, Hashable, Sendable {
    /// The vault's id, the same in all its copies.
    package var id: String
    /// How often it has been promoted: the highest that an agent has seen is the one that counts.
    package var epoch: Int
    /// The promotion that made this copy the vault, or the copy that it was made from; nil when there was none.
    package var promotion: PromotionMark?
    /// Ids of the promotions that came before it: those it descends from, and those that it was promoted over by name.
    package var heirTo: [String]?

    package init(id: String, epoch: Int, promotion: PromotionMark? = nil, heirTo: [String]? = nil) {
        self.id = id
        self.epoch = epoch
        self.promotion = promotion
        self.heirTo = heirTo
    }

    /// Whether a copy that stands so may give orders where this standing is known.
    ///
    /// A higher epoch alone does not do: it may come from a promotion that knew nothing of this one.
    package func admits(_ asking: VaultStanding) -> Bool {
        guard let promotion else {
            return asking.epoch > epoch || (asking.epoch == epoch && asking.promotion == nil)
        }
        if asking.promotion?.id == promotion.id { return true }
        return asking.epoch > epoch && asking.heirTo?.contains(promotion.id) == true
    }

    /// How each vault stands that the agent of this store has heard of; records that cannot be read are passed over.
    package static func known(inStore store: String) -> [VaultStanding] { KeptVaults.standings(reading: store) }

    /// What an agent that knows this standing says to a copy of the vault that asks.
    ///
    /// Throws `staleEpoch` when the copy stands behind it.
    package func admit(_ asking: VaultStanding) throws {
        guard !admits(asking) else { return }
        let own = asking.promotion.map { "was promoted as \($0.words) (epoch \(asking.epoch))" }
        var context = ["promoted": "\(epoch)"]
        if let promotion {
            context["promotion"] = promotion.id
            context["place"] = promotion.place
            context["at"] = "\(promotion.at.milliseconds)"
        }
        throw ReplicationError(
            .staleEpoch,
            "this host obeys the copy of vault \(id) that was promoted\(promotion.map { " as \($0.words)" } ?? "") "
                + "(epoch \(epoch)), and the one that asks \(own ?? "is of epoch \(asking.epoch)")",
            hint: "use that vault; if it is lost, and the one that asks is to go on, promote the one that asks: "
                + "perilune vault promote", context: context)
    }
}

/// A part of a copy of the vault, at most 1 MiB.
package struct VaultPart: Codable, Hashable, Sendable {
    package static let maximumBytes = 1 << 20

    package var vault: VaultStanding
    /// Where it belongs; 0 begins a new copy.
    package var offset: UInt64
    package var data: Data
    /// The copy is whole with this part.
    package var isLast: Bool

    package init(vault: VaultStanding, offset: UInt64, data: Data, isLast: Bool) {
        self.vault = vault
        self.offset = offset
        self.data = data
        self.isLast = isLast
    }
}

extension ReplicationError {
    /// The copy of the vault that an agent obeys, where it refused another for that; nil in any other refusal.
    package var obeyed: (epoch: Int, promotion: PromotionMark?)? {
        guard code == .staleEpoch, let epoch = context["promoted"].flatMap({ Int($0) }) else { return nil }
        guard let id = context["promotion"], let place = context["place"],
            let at = context["at"].flatMap({ Int64($0) })
        else { return (epoch, nil) }
        return (epoch, PromotionMark(id: id, place: place, at: Timestamp(milliseconds: at)))
    }
}
