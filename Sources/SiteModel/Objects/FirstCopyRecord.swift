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
