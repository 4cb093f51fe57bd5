import Foundation
import SiteModel

/// Address data for guests: small CD images beside the points, one an epoch.
extension AgentService {
    private var seedFolder: String { store + "/seeds" }

    package func writeSeed(_ seed: GuestSeed) async throws -> String {
        try StoreNames.checkRelationship(seed.relationship)
        guard seed.epoch >= 0 else {
            throw ReplicationError(.invalidArgument, "an epoch is 0 or more", hint: "0 is a test's")
        }
        let image = try SeedImage.bytes(seed.files)
        return try await gate.pass(seed.relationship) {
            try makeFolder(seedFolder, rights: 0o711)
            let path = "\(seedFolder)/\(Self.seedName(seed.relationship, seed.epoch))"
            // Of the owner's epochs the newest alone matters: no VM starts from an older one any more.
            if seed.epoch > 0 { removeSeeds(of: seed.relationship) { $0 > 0 && $0 < seed.epoch } }
            do { try image.write(to: URL(filePath: path), options: .atomic) } catch {
                throw ReplicationError(
                    .io, "the address data cannot be written to \(path)",
                    hint: "look at the store's space and rights", cause: error)
            }
            return path
        }
    }

    func removeSeed(relationship: String, epoch: Int) {
        removeSeeds(of: relationship) { $0 == epoch }
    }

    func removeSeeds(of relationship: String, where matches: (Int) -> Bool) {
        let files = FileManager.default
        for name in (try? files.contentsOfDirectory(atPath: seedFolder)) ?? [] {
            guard name.hasPrefix(relationship + "-e"), name.hasSuffix(".iso"),
                let epoch = Int(name.dropFirst(relationship.count + 2).dropLast(4)), matches(epoch)
            else { continue }
            try? files.removeItem(atPath: "\(seedFolder)/\(name)")
        }
    }

    private static func seedName(_ relationship: String, _ epoch: Int) -> String { "\(relationship)-e\(epoch).iso" }
}
