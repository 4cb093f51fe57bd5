import Foundation
import Glibc

extension Lab {
    /// Makes guests at a site and returns when each has said READY.
    ///
    /// A guest that has run in this lab before is left alone, on or off: its VM may have failed over since, and a second
    /// copy must not start. Two boot at a time: under TCG each boot takes a processor for some seconds.
    ///
    /// - Parameter network: the network they are connected to; the site's production network unless given.
    package func createGuests(
        _ guests: [LabGuest] = LabGuest.standard, at site: SiteName = .a, network: String? = nil
    ) async throws(LabError) {
        for guest in guests { try guest.check() }
        let new = guests.filter { Self.size(of: layout(of: site).console(of: $0.name)) == 0 }
        guard !new.isEmpty else { return }
        try checkIsLab()
        try await LabLock.holding(root: configuration.root) { () throws(LabError) in
            for guest in new { try await define(guest, at: site, network: network ?? site.bridges[0].network) }
        }
        try await start(new.map(\.name), at: site)
    }

    /// Starts defined guests, two at a time, and returns when each has said READY on its console.
    ///
    /// A guest that runs already is left alone.
    ///
    /// - Throws: `timedOut` when a guest is not ready within 90 s.
    package func start(_ guests: [String], at site: SiteName) async throws(LabError) {
        let outcomes = await withTaskGroup(of: Result<Void, LabError>.self) { group in
            var rest = guests.makeIterator()
            var outcomes: [Result<Void, LabError>] = []
            func startNext() {
                guard let guest = rest.next() else { return }
                group.addTask {
                    do throws(LabError) { return .success(try await startOne(guest, at: site)) } catch {
                        return .failure(error)
                    }
                }
            }
            startNext()
            startNext()
            while let outcome = await group.next() {
                outcomes.append(outcome)
                startNext()
            }
            return outcomes
        }
        for outcome in outcomes { try outcome.get() }
    }

    /// Copies the guests' kernel and initramfs into the lab, so that a later build does not change running guests.
    func installGuestFiles() throws(LabError) {
        let files = FileManager.default
        do {
            try files.createDirectory(atPath: guestDirectory, withIntermediateDirectories: true)
            for name in ["vmlinux", "initrd.gz", "initrd-agent.gz"]
            where !files.fileExists(atPath: "\(guestDirectory)/\(name)") {
                let source = "\(configuration.guestFiles)/\(name)"
                guard files.fileExists(atPath: source) else {
                    throw LabError(
                        .missing, "The guests' \(name) is not in \(configuration.guestFiles).",
                        hint: "run scripts/setup")
                }
                try files.copyItem(atPath: source, toPath: "\(guestDirectory)/\(name).new")
                try files.moveItem(atPath: "\(guestDirectory)/\(name).new", toPath: "\(guestDirectory)/\(name)")
            }
        } catch let error as LabError {
            throw error
        } catch {
            throw LabError(.file, "The guests' files cannot be copied to \(guestDirectory).", cause: error)
        }
    }

    private var guestDirectory: String { "\(configuration.root)/guest" }

    private func define(_ guest: LabGuest, at site: SiteName, network: String) async throws(LabError) {
        let layout = layout(of: site)
        let virsh = ["virsh", "--connect", layout.libvirtURI]
        if try await Command(virsh + ["domstate", guest.name]).result().succeeded { return }
        let entry = SiteStorage.entry(to: try runningHolder(of: site))
        for file in guest.diskFiles(at: layout)
        where try await !Command(entry + ["test", "-e", file]).result().succeeded {
            try await Command(entry + ["qemu-img", "create", "-q", "-f", "qcow2", file, "\(guest.diskBytes)"]).output()
            if file == guest.fileSystemDisk(at: layout) { try await makeFileSystem(on: file, guest, entry) }
        }
        let file = "\(layout.domains)/\(guest.name).xml"
        let xml = guest.domainXML(at: layout, network: network, guestFiles: guestDirectory)
        do { try xml.write(toFile: file, atomically: true, encoding: .utf8) } catch {
            throw LabError(.file, "\(file) cannot be written.", cause: error)
        }
        try await Command(virsh + ["define", file]).output()
    }

    private func makeFileSystem(on file: String, _ guest: LabGuest, _ entry: [String]) async throws(LabError) {
        let raw = file + ".raw"
        try await Command(entry + ["truncate", "-s", "\(guest.diskBytes)", raw]).output()
        try await Command(entry + ["mkfs.ext4", "-q", "-F", raw]).output()
        try await Command(entry + ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, file]).output()
        try await Command(entry + ["rm", raw]).output()
    }

    private func startOne(_ guest: String, at site: SiteName) async throws(LabError) {
        let layout = layout(of: site)
        let virsh = ["virsh", "--connect", layout.libvirtURI]
        let state = try await Command(virsh + ["domstate", guest]).output(hint: "is it defined at this site?")
        if state.hasPrefix("running") { return }
        let console = layout.console(of: guest)
        let before = Self.size(of: console)
        try await Command(virsh + ["start", guest]).output(hint: "see \(layout.logs) and \(console)")
        try await wait(
            for: "READY of guest \(guest)", within: .seconds(90), every: .milliseconds(50), hint: "see \(console)"
        ) {
            Self.text(of: console, from: before).contains("READY")
        }
    }

    private static func size(of file: String) -> UInt64 {
        var details = stat()
        return stat(file, &details) == 0 ? UInt64(details.st_size) : 0
    }

    /// What a console has said since it had `offset` bytes.
    private static func text(of file: String, from offset: UInt64) -> String {
        guard let handle = FileHandle(forReadingAtPath: file) else { return "" }
        defer { try? handle.close() }
        guard (try? handle.seek(toOffset: offset)) != nil, let data = try? handle.read(upToCount: 1 << 16) else {
            return ""
        }
        return String(decoding: data, as: UTF8.self)
    }
}
