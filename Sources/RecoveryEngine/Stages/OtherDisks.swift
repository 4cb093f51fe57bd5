import BlockReplication
import Hypervisors

/// The disks of a VM that no point holds, at the host where it is to start.
enum OtherDisks {
    /// What is said of what is gone; nil when nothing is.
    static func words(for gone: [String], of vm: String) -> String? {
        guard !gone.isEmpty else { return nil }
        return "\(gone.joined(separator: ", ")) of \(vm) is in no point and not at this host: the VM starts without it"
    }
}

extension DomainDefinition {
    private func others(besides covered: Set<String>) -> [Disk] {
        disks.filter { !covered.contains($0.target) && $0.source != "network" }
    }

    /// Files that may stay, if they are at the host: those that the guest only reads.
    func readableFiles(besides covered: Set<String>) -> [String] {
        others(besides: covered).filter(\.isReadOnly).flatMap { $0.chain.map(\.path) }
    }

    /// Deals with the disks that no point holds, so that the VM starts and none of them is taken for another host's file;
    /// returns what is gone.
    ///
    /// A medium or a read-only file that is at this host under the same path stays, as does what comes over a network; a drive
    /// without its medium is left empty. Everything else is taken out.
    mutating func settleOtherDisks(
        besides covered: Set<String>, present: Set<String>, isHome: Bool, excluded: [String]
    ) -> [String] {
        var gone: [String] = []
        let seed = seed
        // Our own CD drive is written anew for each start.
        for disk in others(besides: covered) where disk.path != seed || disk.path == nil {
            if disk.isReadOnly, disk.path.map(present.contains) ?? (disk.source == "file") { continue }
            // At home a disk that was left out is there as it was.
            if isHome, disk.isReadOnly || excluded.contains(disk.target) { continue }
            if disk.device == "cdrom" || disk.device == "floppy" {
                ejectMedium(disk.target)
                gone.append("the medium of drive \(disk.target)")
            } else {
                removeDisks([disk.target])
                gone.append("disk \(disk.target)")
            }
        }
        return gone
    }
}

extension Agent {
    /// Those of these files that are at its host; none where that cannot be told.
    func present(of files: [String]) async -> Set<String> {
        guard !files.isEmpty else { return [] }
        return Set((try? await check(AgentCheck(files: files)))?.files ?? [])
    }
}
