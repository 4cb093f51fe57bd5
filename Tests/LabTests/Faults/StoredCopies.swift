import Foundation
import Glibc
import Lab
import SiteModel
import TestSupport

/// Reading points with another program than ours: qemu-img, inside their site.
struct StoredCopies: Sendable {
    let lab: Lab

    /// The content of images of a site, each with all that lies beneath it.
    func contents(of images: [DiskImage], at site: SiteName) throws -> [[UInt8]] {
        try images.enumerated().map { index, image in
            let raw = "\(lab.configuration.root)/read-\(site.rawValue)-\(index).raw"
            defer { unlink(raw) }
            // What cannot be read is the round's to judge.
            let result = try Program.run(
                lab.entry(to: site)
                    + ["qemu-img", "convert", "-U", "-O", "raw", "-f", image.format, image.path, raw])
            guard result.status == 0 else { throw RoundFailure("\(image.path): \(result.errors)") }
            return [UInt8](try Data(contentsOf: URL(filePath: raw)))
        }
    }

    func folder(of relationship: String, at site: SiteName) -> String {
        "\(lab.layout(of: site).store)/points/\(relationship)"
    }

    /// What the site's own record names: points with their numbers and the files of their disks.
    struct Record: Decodable {
        struct Disk: Decodable {
            var target: String
            var file: String
            var format: String
        }
        struct Point: Decodable {
            var generation: String
            var number: Int
            var disks: [Disk]
        }
        var points: [Point]
    }

    func manifest(of relationship: String, at site: SiteName) throws -> (text: String, record: Record) {
        let text = try output(
            of: lab.entry(to: site) + ["cat", "\(folder(of: relationship, at: site))/manifest.json"])
        return (text, try JSONDecoder().decode(Record.self, from: Data(text.utf8)))
    }

    func images(of point: Record.Point, _ relationship: String, at site: SiteName) -> [DiskImage] {
        point.disks.sorted { $0.target < $1.target }.map {
            DiskImage(path: "\(folder(of: relationship, at: site))/\($0.file)", format: $0.format)
        }
    }

    func files(in folder: String, at site: SiteName) throws -> [String] {
        try output(of: lab.entry(to: site) + ["sh", "-c", "test ! -d \"$1\" || ls -A \"$1\"", "sh", folder])
            .split(separator: "\n").map(String.init)
    }
}
