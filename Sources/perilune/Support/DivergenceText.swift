import BlockReplication
import SiteModel

/// What diverged, for people.
enum DivergenceText {
    /// Ranges that are printed of a disk.
    private static let shown = 10

    static func text(_ divergence: Divergence, host: String) -> String {
        let what =
            divergence.isExact ? "wrote" : "may have written (both sides were compared, so this is more than that)"
        var lines = [
            "blocks that the former owner \(what) and the VM went on without, since \(Text.time(divergence.at)); "
                + "they lie at \(host), until the next failover to it is committed"
        ]
        for disk in divergence.disks {
            lines.append("  \(disk.target): \(Text.bytes(disk.bytes)) in \(disk.count) ranges of \(disk.image.path)")
            lines += disk.ranges.prefix(shown).map { "    \($0.offset) + \($0.length)" }
            if disk.count > shown { lines.append("    ... (--json lists up to 1000)") }
            if let file = disk.exported { lines.append("    written to \(file)") }
        }
        return lines.joined(separator: "\n")
    }
}
