import Foundation
import Glibc

/// The libvirtd of one site.
struct LibvirtDaemon: Sendable {
    let layout: SiteLayout
    let daemon: Daemon
    let capabilities: CapabilityCache

    init(layout: SiteLayout, capabilities: CapabilityCache) {
        self.layout = layout
        self.capabilities = capabilities
        daemon = Daemon(name: "libvirtd", layout: layout)
    }

    /// Starts the daemon and its networks in the site, as far as they do not run.
    func ensure(in holder: ProcessRecord) async throws(LabError) {
        if daemon.running == nil {
            try configure(in: holder)
            capabilities.fill(siteOf: holder)
            try await daemon.start(["libvirtd"], through: SiteStorage.entry(to: holder))
        }
        try await daemon.waitUntilAnswering(at: layout.libvirtSocket)
        try await capabilities.learn(from: layout, holder: holder)
        for bridge in layout.name.bridges { try await ensure(bridge) }
    }

    /// Writes libvirt's settings onto the site's file system, once: the host's identity stays with the disks.
    private func configure(in holder: ProcessRecord) throws(LabError) {
        let directory = "/proc/\(holder.pid)/root/etc/libvirt"
        try write(Self.qemuSettings, to: "\(directory)/qemu.conf")
        let file = "\(directory)/libvirtd.conf"
        guard access(file, F_OK) != 0 else { return }
        try write(Self.daemonSettings(hostID: UUID().uuidString.lowercased()), to: file)
    }

    private func write(_ text: String, to file: String) throws(LabError) {
        do { try text.write(toFile: file, atomically: true, encoding: .utf8) } catch {
            throw LabError(.file, "\(file) cannot be written.", cause: error)
        }
    }

    private func ensure(_ bridge: SiteBridge) async throws(LabError) {
        let virsh = ["virsh", "--connect", layout.libvirtURI]
        let known = try await Command(virsh + ["net-info", bridge.network]).result()
        if !known.succeeded {
            let file = "\(layout.domains)/\(bridge.network).xml"
            try write(
                """
                <network>
                  <name>\(bridge.network)</name>
                  <forward mode='bridge'/>
                  <bridge name='\(bridge.bridge)'/>
                </network>

                """, to: file)
            try await Command(virsh + ["net-define", file]).output()
            try await Command(virsh + ["net-autostart", bridge.network]).output()
        }
        if !known.output.contains(/Active:\s+yes/) {
            try await Command(virsh + ["net-start", bridge.network]).output()
        }
    }

    /// No systemd, no cgroups, no security labels: every process is root in a namespace of its own.
    private static let qemuSettings = """
        user = "root"
        group = "root"
        security_driver = "none"
        stdio_handler = "file"
        cgroup_controllers = [ ]
        namespaces = [ ]
        remember_owner = 0
        swtpm_user = "root"
        swtpm_group = "root"

        """

    private static func daemonSettings(hostID: String) -> String {
        """
        auth_unix_rw = "none"
        auth_unix_ro = "none"
        unix_sock_group = "root"
        unix_sock_rw_perms = "0700"
        host_uuid = "\(hostID)"
        log_level = 3
        log_outputs = "3:file:/var/log/libvirt/libvirtd.log"

        """
    }
}
