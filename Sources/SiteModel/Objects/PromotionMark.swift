/// One promotion of a copy of the vault: when a copy became the vault, and where it lay.
package struct PromotionMark: Codable, Hashable, Sendable {
    /// Minted for this promotion, at random: two copies that are promoted independently come to one epoch, and not to one id.
    package var id: String
    /// Which copy it was: `MACHINE:PATH`.
    package var place: String
    package var at: Timestamp

    package init(id: String, place: String, at: Timestamp) {
        self.id = id
        self.place = place
        self.at = at
    }

    /// For messages: "alpha:/var/lib/vault.db since 2026-11-23 07:58 UTC".
    package var words: String { "\(place) since \(at.utcText)" }
}
