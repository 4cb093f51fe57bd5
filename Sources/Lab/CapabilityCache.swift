import Foundation

/// libvirt's knowledge of what QEMU can do, carried from site to site and from lab to lab.
///
/// A new libvirtd asks QEMU for it when the first VM is defined, which takes seconds: a failover would wait for them.
/// libvirt itself checks on reading whether an entry still fits the program and the kernel, so an old one costs time
/// and no more.
struct CapabilityCache: Sendable {
    /// Where entries are kept between labs.
    let directory: String

    init(configuration: LabConfiguration) {
        directory = "\(configuration.guestFiles)/capabilities"
    }

    /// Gives a site that has no entries the ones that are kept.
    func fill(siteOf holder: ProcessRecord) {
        let site = Self.directory(of: holder)
        guard Self.entries(of: site).isEmpty else { return }
        copy(from: directory, to: site)
    }

    /// Has a site's libvirt learn what QEMU can do, unless it knows, and keeps that.
    func learn(from layout: SiteLayout, holder: ProcessRecord) async throws(LabError) {
        let ask = ["virsh", "--connect", layout.libvirtURI, "domcapabilities", "--virttype", "qemu"]
        try await Command(ask, limit: .seconds(60)).output()
        copy(from: Self.directory(of: holder), to: directory)
    }

    private static func directory(of holder: ProcessRecord) -> String {
        "/proc/\(holder.pid)/root/var/cache/libvirt/qemu/capabilities"
    }

    private static func entries(of directory: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).filter { $0.hasSuffix(".xml") }
    }

    /// Copies entries as far as that works: without them libvirt asks QEMU again.
    private func copy(from source: String, to target: String) {
        try? FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        for entry in Self.entries(of: source) {
            guard let data = FileManager.default.contents(atPath: "\(source)/\(entry)") else { continue }
            try? data.write(to: URL(filePath: "\(target)/\(entry)"), options: .atomic)
        }
    }
}
