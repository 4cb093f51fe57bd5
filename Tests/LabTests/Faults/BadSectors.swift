import Foundation
import Glibc
import Lab
import TestSupport

/// A site's file system on a disk that does not answer any more from some place on.
///
/// A block device answers with an I/O error behind its end. So the end of the loop device's file is put aside and cut off while the
/// file system stands still; later it is put back, and the site comes back from a restart, as after a disk was replaced.
struct BadSectors: Sendable {
    private let image: String
    private let kept: String
    private let start: off_t
    private let end: off_t

    /// Makes all that lies behind `share` of the file system unreadable.
    init(_ site: FaultSite, at name: SiteName, from share: Double) throws {
        let layout = site.lab.layout(of: name)
        image = layout.image
        kept = "\(layout.directory)/kept-sectors"
        var details = stat()
        guard stat(image, &details) == 0 else { throw RoundFailure("\(layout.image) is not there") }
        end = details.st_size
        start = off_t(Double(end) * share) & ~4095
        try site.run(at: name, ["fsfreeze", "--freeze", layout.fileSystem])
        defer { _ = try? site.run(at: name, ["fsfreeze", "--unfreeze", layout.fileSystem]) }
        // Everything that was written is in the file; holes stay holes.
        try output(of: ["cp", "--sparse=always", image, kept])
        guard truncate(image, start) == 0 else { throw RoundFailure("\(image) cannot be cut") }
        // Else writes behind the end would make the file grow.
        let devices = try output(of: ["losetup", "--noheadings", "--output", "NAME", "--associated", image])
        for device in devices.split(whereSeparator: \.isWhitespace) {
            try output(of: ["losetup", "--set-capacity", String(device)])
        }
    }

    /// Gives the sectors back as they were.
    func mend() throws {
        defer { unlink(kept) }
        guard truncate(image, end) == 0 else { throw RoundFailure("\(image) cannot grow back") }
        try output(of: [
            "dd", "if=\(kept)", "of=\(image)", "bs=1M", "iflag=skip_bytes", "oflag=seek_bytes", "skip=\(start)",
            "seek=\(start)", "conv=notrunc,sparse", "status=none",
        ])
    }
}
