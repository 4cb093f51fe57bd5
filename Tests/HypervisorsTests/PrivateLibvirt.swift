import Foundation
import TestSupport

#if canImport(Glibc)
import Glibc
#endif

@testable import Hypervisors

/// A libvirtd of the test's own: in its own mount and network namespace, with its state in a temporary folder.
///
/// The daemon is a direct child and ended by its pid; guests that are left are ended by theirs.
final class PrivateLibvirt: @unchecked Sendable {  // used by one test at a time
    let folder: Scratch
    private var daemon: Program?
    let host: LibvirtHypervisor

    /// Why the tests cannot run here; nil when they can.
    static var obstacle: String? {
        if geteuid() != 0 { return "a libvirtd of its own needs root" }
        for program in ["/usr/sbin/libvirtd", "/usr/bin/qemu-system-x86_64", "/usr/bin/qemu-img", "/usr/bin/nbdinfo"]
        where access(program, X_OK) != 0 {
            return "\(program) is not installed"
        }
        return nil
    }

    /// What libvirtd found out about QEMU, by file name: asking QEMU anew takes each daemon some seconds.
    private static let capabilities = Locked<[String: Data]>([:])
    private var capabilitiesFolder: String { folder.path + "/cache/qemu/capabilities" }

    private func giveCapabilities() throws {
        try FileManager.default.createDirectory(atPath: capabilitiesFolder, withIntermediateDirectories: true)
        for (name, data) in Self.capabilities.withLock({ $0 }) {
            try data.write(to: URL(fileURLWithPath: "\(capabilitiesFolder)/\(name)"))
        }
    }

    private func keepCapabilities() {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: capabilitiesFolder)) ?? [] {
            let data = FileManager.default.contents(atPath: "\(capabilitiesFolder)/\(name)")
            Self.capabilities.withLock { $0[name] = data }
        }
    }

    var socket: String { folder.path + "/run/libvirt-sock" }
    var uri: String { "qemu+unix:///system?socket=\(socket)" }

    /// Starts a daemon, runs `body` and leaves nothing behind, whatever happens.
    static func with(_ body: (PrivateLibvirt) async throws -> Void) async throws {
        let site = try PrivateLibvirt()
        defer { site.remove() }
        try site.giveCapabilities()
        try await site.startDaemon()
        try await body(site)
    }

    private init() throws {
        folder = try Scratch()
        host = try LibvirtHypervisor(
            uri: "qemu+unix:///system?socket=\(folder.path)/run/libvirt-sock", openLimit: .seconds(30),
            callLimit: .seconds(60))
        for name in ["run", "etc", "lib", "cache", "log", "scratch"] {
            try FileManager.default.createDirectory(
                atPath: "\(folder.path)/\(name)", withIntermediateDirectories: false)
        }
        try """
        auth_unix_rw = "none"
        auth_unix_ro = "none"
        unix_sock_group = "root"
        host_uuid = "\(UUID().uuidString.lowercased())"
        log_level = 3
        log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
        """.write(toFile: folder.path + "/etc/libvirtd.conf", atomically: true, encoding: .utf8)
        try """
        user = "root"
        group = "root"
        security_driver = "none"
        stdio_handler = "file"
        cgroup_controllers = [ ]
        namespaces = [ ]
        remember_owner = 0
        """.write(toFile: folder.path + "/etc/qemu.conf", atomically: true, encoding: .utf8)
    }

    func startDaemon() async throws {
        let script = """
            set -e
            mount --make-rprivate /
            mkdir -p /run/libvirt /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
            mount --bind "$1/run" /run/libvirt
            mount --bind "$1/etc" /etc/libvirt
            mount --bind "$1/lib" /var/lib/libvirt
            mount --bind "$1/cache" /var/cache/libvirt
            mount --bind "$1/log" /var/log/libvirt
            exec /usr/sbin/libvirtd -p /run/libvirt/libvirtd.pid
            """
        try? FileManager.default.removeItem(atPath: socket)
        daemon = try Program(["unshare", "-m", "-n", "bash", "-c", script, "bash", folder.path])
        let isUp = await eventually { (try? await host.domains()) != nil }
        guard isUp else { throw ProgramFailed(words: ["libvirtd"], said: "it does not answer") }
    }

    func signalDaemon(_ signal: Int32) { daemon?.signal(signal) }

    func killDaemon() { daemon?.end(SIGKILL) }

    /// Ends the VM's QEMU as a crash does.
    func killGuest(_ name: String) throws {
        let text = try String(contentsOfFile: "\(folder.path)/run/qemu/\(name).pid", encoding: .utf8)
        guard let pid = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)) else { return }
        kill(pid, SIGKILL)
    }

    private func remove() {
        // Killed, not asked: it has nothing to put in order that is kept.
        killDaemon()
        keepCapabilities()
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path + "/run/qemu")) ?? []
        for file in files where file.hasSuffix(".pid") { try? killGuest(String(file.dropLast(4))) }
        folder.remove()
    }

    // MARK: Guests

    func disk(_ name: String) -> String { "\(folder.path)/\(name)" }

    /// Creates an image with qemu-img.
    func createDisk(_ name: String, format: String = "qcow2", options: [String] = [], size: String? = "64M") throws {
        _ = try run("qemu-img", ["create", "-q", "-f", format] + options + [disk(name)] + (size.map { [$0] } ?? []))
    }

    /// The smallest VM: SeaBIOS finds nothing to boot and waits.
    func definition(_ name: String, uuid: String, disks: [String], nics: String = "") -> String {
        let disks = disks.enumerated().map { index, path in
            """
            <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='\(path)'/>
            <target dev='vd\(["a", "b", "c"][index])' bus='virtio'/></disk>
            """
        }
        return """
            <domain type='qemu'><name>\(name)</name><uuid>\(uuid)</uuid><memory unit='MiB'>32</memory>
            <os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>
            <cpu mode='custom' match='exact'><model fallback='allow'>qemu64</model></cpu>
            <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>\(disks.joined())\(nics)
            <controller type='usb' model='none'/><memballoon model='none'/></devices></domain>
            """
    }

    /// Writes as the guest would, through its device.
    func write(_ name: String, disk: Int = 0, offset: String, length: String = "64k") throws {
        let device = "/machine/peripheral/virtio-disk\(disk)/virtio-backend"
        let output = try run(
            "virsh",
            [
                "-c", uri, "qemu-monitor-command", name, "--hmp",
                "qemu-io -d \(device) \"write -P 7 \(offset) \(length)\"",
            ])
        guard !output.lowercased().contains("error") else { throw ProgramFailed(words: ["qemu-io"], said: output) }
    }

    func request(since: String?, checkpoint: String, disks: [String] = ["vda"]) -> BackupRequest {
        BackupRequest(
            since: since, checkpoint: checkpoint, socket: folder.path + "/b.sock",
            scratchFolder: folder.path + "/scratch", disks: disks)
    }

    var scratchFiles: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path + "/scratch").sorted() }
    }

    /// A run of bytes in KiB.
    struct Extent: Hashable, CustomStringConvertible {
        var offset: Int
        var length: Int
        var description: String { "\(offset)+\(length)" }
    }

    /// The dirty extents of the open backup, in KiB.
    func dirty(_ target: String = "vda") throws -> [Extent] {
        struct Entry: Decodable {
            var offset: Int
            var length: Int
            var type: Int
        }
        let text = try run(
            "nbdinfo",
            [
                "--json", "--map=qemu:dirty-bitmap:backup-\(target)",
                "nbd+unix:///\(target)?socket=\(folder.path)/b.sock",
            ])
        return try JSONDecoder().decode([Entry].self, from: Data(text.utf8)).filter { $0.type == 1 }
            .map { Extent(offset: $0.offset / 1024, length: $0.length / 1024) }
    }

    /// Begins a backup, reads what it calls dirty, ends it.
    func changes(_ uuid: String, since: String, checkpoint: String) async throws -> [Extent] {
        try await host.beginBackup(uuid: uuid, request(since: since, checkpoint: checkpoint))
        let found = try dirty()
        try await host.endBackup(uuid: uuid)
        return found
    }

    /// Names of the persistent bitmaps in an image, with those that QEMU did not close cleanly marked "!".
    func bitmaps(_ name: String) throws -> [String] {
        struct Image: Decodable {
            struct Specific: Decodable { var data: Details? }
            struct Details: Decodable { var bitmaps: [Bitmap]? }
            struct Bitmap: Decodable {
                var name: String
                var flags: [String]
            }
            var specific: Specific?
            enum CodingKeys: String, CodingKey { case specific = "format-specific" }
        }
        let text = try run("qemu-img", ["info", "-U", "--output=json", disk(name)])
        return try JSONDecoder().decode(Image.self, from: Data(text.utf8)).specific?.data?.bitmaps?
            .map { $0.name + ($0.flags.contains("in-use") ? "!" : "") }.sorted() ?? []
    }
}
