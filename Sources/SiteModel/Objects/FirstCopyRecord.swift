/// How the first copy of one VM is made, and how far that is; kept until the first copy is whole at the target.
package struct FirstCopyRecord: Codable, Hashable, Sendable {
    /// The latest that a first copy may be put off, in seconds: seven days.
    package static let longestDelay: Double = 7 * 24 * 3600

    package var method: Policy.FirstCopy
    /// When a scheduled one is to begin.
    package var startAt: Timestamp?
    /// Folder at the source that an offline one is written to.
    package var exportPath: String?
    /// Folder at the target that it is read from, once somebody has brought it there.
    package var importPath: String?
    /// What was written; nil before.
    package var exported: ExportedCopy?

    package init(
        method: Policy.FirstCopy, startAt: Timestamp? = nil, exportPath: String? = nil, importPath: String? = nil
    ) {
        self.method = method
        self.startAt = startAt
        self.exportPath = exportPath
        self.importPath = importPath
    }

    /// Name of the folder of a VM's exported copy, the same at both ends.
    package static func folderName(vm: String, id: String) -> String {
        let plain = vm.map { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) ? $0 : "-" }
        return "\(String(plain.prefix(128)))_\(id)"
    }
}

/// A first copy as it was written for carrying.
package struct ExportedCopy: Codable, Hashable, Sendable {
    package var generation: String
    /// The folder that holds it, at the source.
    package var folder: String
    /// The instant that it shows.
    package var at: Timestamp
    package var bytes: UInt64

    package init(generation: String, folder: String, at: Timestamp, bytes: UInt64) {
        self.generation = generation
        self.folder = folder
        self.at = at
        self.bytes = bytes
    }
}

/// How far a first copy in legs has come: what the target keeps of it, and what it goes on from.
package struct FirstCopyProgress: Codable, Hashable, Sendable {
    /// Legs that are in, and the content bytes that they sent.
    package var legs: Int
    package var bytes: UInt64
    /// Checkpoints of the present files at the source: the last leg's, and one that a leg has begun with which may be in.
    package var checkpoints: [String]
    /// Legs in a row that sent more of what had changed meanwhile than of what was missing.
    package var slowLegs: Int

    package init(legs: Int = 0, bytes: UInt64 = 0, checkpoints: [String] = [], slowLegs: Int = 0) {
        self.legs = legs
        self.bytes = bytes
        self.checkpoints = checkpoints
        self.slowLegs = slowLegs
    }
}
