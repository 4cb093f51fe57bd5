import CLibvirt
import Foundation
import Glibc
import Hypervisors
import Synchronization

/// A libvirtd of the bench's own, in its own mount and network namespace, started when first asked for.
///
/// Its guests have firmware that finds nothing to boot: what is measured is what is around them.
final class GuestSite: Sendable {
    private let bench: Workbench
    private let started = Mutex<(tool: Tool, host: LibvirtHypervisor)?>(nil)

    init(_ bench: Workbench) { self.bench = bench }

    /// Why it cannot run here; nil when it can.
    static var obstacle: String? {
        if geteuid() != 0 { return "a libvirtd of its own needs root" }
        return Tool.obstacle(
            ("libvirtd", "libvirt-daemon"), ("qemu-system-x86_64", "qemu-system-x86"), ("qemu-img", "qemu-utils"),
            ("unshare", "util-linux"), ("nbdinfo", "libnbd-bin"))
    }

    var folder: String { bench("libvirt") }
    var uri: String { "qemu+unix:///system?socket=\(folder)/run/libvirt-sock" }

    /// The driver on it.
    func host() async throws -> LibvirtHypervisor {
        if let host = started.withLock({ $0?.host }) { return host }
        for name in ["run", "etc", "lib", "cache", "log", "scratch"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        try """
        auth_unix_rw = "none"
        auth_unix_ro = "none"
        unix_sock_group = "root"
        host_uuid = "\(UUID().uuidString.lowercased())"
        log_level = 3
        log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
        """.write(toFile: folder + "/etc/libvirtd.conf", atomically: true, encoding: .utf8)
        try """
        user = "root"
        group = "root"
        security_driver = "none"
        stdio_handler = "file"
        cgroup_controllers = [ ]
        namespaces = [ ]
        remember_owner = 0
        """.write(toFile: folder + "/etc/qemu.conf", atomically: true, encoding: .utf8)
        // The folder is an argument; the text is the same always.
        let script = """
            set -e
            mount --make-rprivate /
            mkdir -p /run/libvirt /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
            mount --bind "$1/run" /run/libvirt
            mount --bind "$1/etc" /etc/libvirt
            mount --bind "$1/lib" /var/lib/libvirt
            mount --bind "$1/cache" /var/cache/libvirt
            mount --bind "$1/log" /var/log/libvirt
            exec libvirtd -p /run/libvirt/libvirtd.pid
            """
        let tool = try Tool(["unshare", "-m", "-n", "bash", "-c", script, "bash", folder], in: bench.memory)
        do {
            try await tool.awaitListening(.unix(folder + "/run/libvirt-sock"))
            let host = try LibvirtHypervisor(uri: uri, openLimit: .seconds(60))
            _ = try await host.domains()
            started.withLock { $0 = (tool, host) }
            return host
        } catch {
            tool.end(SIGKILL)
            throw error
        }
    }

    /// The daemon's process id.
    func daemon() throws -> pid_t {
        guard let started = started.withLock({ $0 }) else { throw BenchError("libvirtd does not run") }
        return started.tool.identifier
    }

    /// Ends the daemon and then every guest by its process id.
    func end() {
        guard let started = started.withLock({ $0 }) else { return }
        started.tool.end(SIGKILL)
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/run/qemu")) ?? []
        for file in files where file.hasSuffix(".pid") {
            let text = try? String(contentsOfFile: "\(folder)/run/qemu/\(file)", encoding: .utf8)
            guard let pid = text.flatMap({ Int32($0.trimmingCharacters(in: .whitespacesAndNewlines)) }), pid > 1 else {
                continue
            }
            kill(pid, SIGKILL)
        }
    }

    /// Defines a VM with these images as its disks, sda and so on, and starts it.
    func start(_ name: String, uuid: String, images: [String]) async throws {
        let host = try await host()
        try await host.define(xml: Self.definition(name, uuid: uuid, images: images))
        try await host.start(uuid: uuid, paused: false)
    }

    /// Names of disks from sda to sdz, and from sdaa on.
    static func targets(_ count: Int) -> [String] {
        let letters = Array("abcdefghijklmnopqrstuvwxyz")
        return (0..<count).map { index in
            let first = index < 26 ? "" : String(letters[index / 26 - 1])
            return "sd\(first)\(letters[index % 26])"
        }
    }

    /// The smallest VM; its disks on one controller, for there may be more of them than slots.
    static func definition(_ name: String, uuid: String, images: [String]) -> String {
        let disks = zip(targets(images.count), images).map { target, path in
            """
            <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='\(path)'/>
            <target dev='\(target)' bus='scsi'/></disk>
            """
        }
        return """
            <domain type='qemu'><name>\(name)</name><uuid>\(uuid)</uuid><memory unit='MiB'>32</memory>
            <os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>
            <cpu mode='custom' match='exact'><model fallback='allow'>qemu64</model></cpu>
            <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>\(disks.joined())
            <controller type='scsi' index='0' model='virtio-scsi'/>
            <controller type='usb' model='none'/><memballoon model='none'/></devices></domain>
            """
    }
}

/// libvirt's own calls, with nothing around them.
final class BareLibvirt: @unchecked Sendable {  // used by one task at a time
    private let connection: OpaquePointer
    private let domain: OpaquePointer

    init(uri: String, uuid: String) throws {
        guard let connection = virConnectOpen(uri) else { throw BenchError("libvirt does not answer") }
        guard let domain = virDomainLookupByUUIDString(connection, uuid) else {
            virConnectClose(connection)
            throw BenchError("libvirt does not know the VM")
        }
        (self.connection, self.domain) = (connection, domain)
    }

    deinit {
        virDomainFree(domain)
        virConnectClose(connection)
    }

    func beginBackup(
        since: String?, checkpoint: String, socket: String, scratch: String, targets: [String]
    ) throws {
        let disks = targets.map { target in
            let bitmap = since == nil ? "" : " exportbitmap='backup-\(target)'"
            return "<disk name='\(target)' backup='yes' type='file' exportname='\(target)'\(bitmap)>"
                + "<scratch file='\(scratch)/bare-\(target)'/></disk>"
        }
        let backup =
            "<domainbackup mode='pull'>" + (since.map { "<incremental>\($0)</incremental>" } ?? "")
            + "<server transport='unix' socket='\(socket)'/><disks>\(disks.joined())</disks></domainbackup>"
        let marks = targets.map { "<disk name='\($0)' checkpoint='bitmap'/>" }
        let point = "<domaincheckpoint><name>\(checkpoint)</name><disks>\(marks.joined())</disks></domaincheckpoint>"
        guard virDomainBackupBegin(domain, backup, point, 0) >= 0 else { throw BenchError("backup-begin failed") }
    }

    func abortJob() throws {
        guard virDomainAbortJob(domain) >= 0 else { throw BenchError("the job cannot be ended") }
    }

    func deleteCheckpoint(_ name: String) throws {
        guard let checkpoint = virDomainCheckpointLookupByName(domain, name, 0) else {
            throw BenchError("there is no checkpoint \(name)")
        }
        defer { virDomainCheckpointFree(checkpoint) }
        guard virDomainCheckpointDelete(checkpoint, 0) >= 0 else { throw BenchError("checkpoint-delete failed") }
    }

    /// Writes as the guest would: so many bytes of a pattern at each place of its first disk.
    func write(at places: [UInt64], length: Int, pattern: Int) throws {
        for place in places {
            var said: UnsafeMutablePointer<CChar>?
            let command = "qemu-io -d scsi0-0-0-0 \"write -q -P \(pattern) \(place) \(length)\""
            guard virDomainQemuMonitorCommand(domain, command, &said, 1) >= 0 else {
                throw BenchError("the monitor does not take a command")
            }
            defer { free(said) }
            if let said, strlen(said) > 2 { throw BenchError(String(cString: said)) }
        }
    }
}
