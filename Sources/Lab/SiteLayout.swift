/// The names and places of one site: the one table of what lies where.
package struct SiteLayout: Sendable, Hashable {
    package let name: SiteName
    /// The site's directory, outside its file system.
    package let directory: String
    /// The site's network namespace, as `ip netns` knows it.
    package let networkNamespace: String

    init(_ name: SiteName, in configuration: LabConfiguration) {
        self.name = name
        directory = "\(configuration.root)/\(name.rawValue)"
        networkNamespace = "perilune-\(name.rawValue)\(configuration.namespaceSuffix)"
    }

    /// The sparse file that holds the site's file system.
    package var image: String { "\(directory)/disks.img" }
    /// Where the site mounts its file system; an empty directory to everyone else.
    package var fileSystem: String { "\(directory)/fs" }
    /// The disks of the site's VMs.
    package var images: String { "\(fileSystem)/images" }
    /// The agent's store: points, replicas and what it knows of them.
    package var store: String { "\(fileSystem)/store" }
    /// The site's /run/libvirt, reachable from outside; emptied when the site is lost, as a reboot would.
    package var run: String { "\(directory)/run" }
    /// Where `run` is put while the site is cut off: nothing outside finds the site's sockets, and the site goes on.
    var cutRun: String { "\(run).cut" }
    /// `run` as the site itself sees it, cut off or not.
    var ownRun: String { "/run/libvirt" }
    /// The site's folder for what is known since its last boot: gone when the site is lost.
    package var runtime: String { "/run/perilune" }
    package var libvirtSocket: String { "\(run)/libvirt-sock" }
    package var agentSocket: String { "\(run)/agent.sock" }
    /// The guests' serial consoles, a file each.
    ///
    /// Not lost with the site: they are what was promised to clients.
    package var consoles: String { "\(directory)/console" }
    package var logs: String { "\(directory)/log" }
    /// The key and certificate of the site's agent.
    var identity: String { "\(directory)/agent.pem" }
    /// Which processes were started, with their start times.
    package var processes: String { "\(directory)/processes" }
    package var domains: String { "\(directory)/domains" }

    package var libvirtURI: String { "qemu+unix:///system?socket=\(libvirtSocket)" }
    /// The path of the network namespace's handle.
    package var networkHandle: String { "/run/netns/\(networkNamespace)" }

    package func console(of guest: String) -> String { "\(consoles)/\(guest).log" }

    /// Directories that exist outside the site's file system.
    var plainDirectories: [String] { [directory, fileSystem, run, consoles, logs, processes, domains] }

    /// libvirt's own directories and where on the site's file system they lie, so that they are lost with it.
    var libvirtDirectories: [(place: String, target: String)] {
        ["etc", "lib", "cache", "log"].map { part in
            ("\(fileSystem)/libvirt/\(part)", part == "etc" ? "/etc/libvirt" : "/var/\(part)/libvirt")
        }
    }
}
