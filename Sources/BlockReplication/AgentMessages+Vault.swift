// The vault, as agents know it: which copy of it asks, and a copy to keep.

package import Foundation

/// Which vault asks, and which of its copies.
package struct VaultStanding: Codable, Hashable, Sendable {
    /// The vault's id, the same in all its copies.
    package var id: String
    /// How often it has been promoted: the highest that an agent has seen is the one that counts.
    package var epoch: Int

    package init(id: String, epoch: Int) {
        self.id = id
        self.epoch = epoch
    }

    /// What an agent that knows this standing says to a copy of the vault that asks.
    ///
    /// Throws `staleEpoch` when the copy stands behind it.
    package func admit(_ asking: VaultStanding) throws {
        guard asking.epoch >= epoch else {
            throw ReplicationError(
                .staleEpoch,
                "a copy of this vault was promoted (epoch \(epoch)), and this one is of epoch \(asking.epoch)",
                hint: "use the promoted vault", context: ["promoted": "\(epoch)"])
        }
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
