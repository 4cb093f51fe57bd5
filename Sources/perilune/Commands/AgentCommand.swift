internal import ArgumentParser
import BlockReplication
import Foundation
import Hypervisors
import RecoveryEngine
import SiteModel

/// The agent of one host: moves blocks, keeps points, guards starts.
struct AgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent", abstract: "The agent of this host: it moves blocks, keeps points and guards starts.",
        subcommands: [Serve.self, InstallHook.self, Hook.self, StartOwned.self], defaultSubcommand: Serve.self)

    /// Where this host keeps what it knows.
    struct Places: ParsableArguments {
        @Option(help: "Folder that holds recovery points and ownership records.")
        var store: String

        @Option(help: "Folder that a reboot empties: which ownership was confirmed since the boot.")
        var runtime: String = OwnershipRecords.defaultRuntime
    }

    /// How disks' content is protected on its way.
    struct Protection: ParsableArguments {
        @Option(
            help: ArgumentHelp(
                "PEM file with this agent's key, its certificate and its authority's: data travels with TLS alone.",
                discussion: "perilune authority issue makes it. It is read anew for each connection.",
                valueName: "file"))
        var tls: String?

        @Flag(
            name: .customLong("without-tls"),
            help: "Say that disks' content may travel unencrypted on a network that others can read.")
        var withoutTLS = false

        func validate() throws {
            guard tls == nil || !withoutTLS else { throw ValidationError("say --tls or --without-tls, not both") }
        }

        var security: DataSecurity {
            tls.map { .tls(identity: URL(filePath: $0).path) } ?? (withoutTLS ? .plain : .local)
        }
    }

    struct Serve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "serve", abstract: "Runs the agent until it is stopped (the default).")

        @OptionGroup var places: Places

        @Option(help: "The site's name.")
        var site: String

        @Option(help: "Path of the control socket that engines connect to.")
        var socket: String

        @Option(help: "Address, as host:port, at which other agents' data is received.")
        var listen: String

        @OptionGroup var protection: Protection

        @Option(
            help: ArgumentHelp(
                "How fast disks' content may leave this host, in bytes a second; repeat it for other times.",
                discussion: """
                    "20MiB", "08:00-18:00 20MiB", "mon-fri 08:00-18:00 20MiB", "sat-sun unlimited": the first that fits \
                    counts, in this host's local time; where none fits there is no limit. All transfers share it.
                    """, valueName: "rate"))
        var throttle: [String] = []

        private func schedule() throws -> RateSchedule {
            do { return RateSchedule(try throttle.map { try RateRule($0) }) } catch let fault as RateRuleFault {
                throw ValidationError("--throttle: \(fault)")
            }
        }

        func validate() throws { _ = try schedule() }

        @Option(help: "libvirt's configuration folder, in which doctor has the agent look for the start hook.")
        var libvirtRoot = StartHook.libvirtRoot

        func run() async throws {
            try await Failure.reporting {
                var limits = AgentLimits()
                limits.sending = try schedule()
                let (libvirtRoot, places) = (libvirtRoot, places)
                try await runAgent(
                    site: site, controlSocket: socket, listen: listen, store: places.store, runtime: places.runtime,
                    security: protection.security, limits: limits,
                    startHook: {
                        StartHook.facts(libvirtRoot: libvirtRoot, store: places.store, runtime: places.runtime)
                    })
            }
        }
    }

    struct InstallHook: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes libvirt ask before it starts a VM: a protected one starts at its owner alone.",
            discussion: "Other hooks stay; this one is a file of its own in hooks/qemu.d.")

        @OptionGroup var places: Places

        @Option(help: "libvirt's configuration folder.")
        var libvirtRoot = StartHook.libvirtRoot

        func run() async throws {
            try await Failure.reporting {
                let hook = HookInstallation(
                    libvirtRoot: libvirtRoot, program: try OwnProgram.path(), store: places.store,
                    runtime: places.runtime)
                let hadHooks = try hook.install()
                Terminal.say("the hook is \(hook.path)")
                if !hadHooks { Terminal.say("start libvirtd anew once: it looks for hooks when it starts") }
            }
        }
    }

    struct Hook: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "What libvirt's hook runs: reads a domain's XML and refuses it with status 1.",
            shouldDisplay: false)

        @OptionGroup var places: Places

        @Argument(help: "The VM's name.")
        var vm: String

        @Argument(help: "libvirt's operation; all but `prepare` pass.")
        var event: String

        func run() async throws {
            guard event == "prepare" else { return }
            let data = try FileHandle.standardInput.read(upToCount: 2 << 20) ?? Data()
            let start = StartGuard(
                records: OwnershipRecords(reading: places.store, runtime: places.runtime))
            guard let reason = start.refusal(domainXML: String(decoding: data, as: UTF8.self)) else { return }
            Terminal.complain("perilune: \(vm) may not be started here: \(reason)")
            throw ExitCode(1)
        }
    }

    struct StartOwned: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Starts the VMs that this host owns though no vault has confirmed it since the boot.",
            discussion: """
                After a boot, perilune replicate confirms what a host owns and starts it. This is for the day when it cannot: \
                you say that no other host runs these VMs. What you said is kept, and shown by the vault when it is back.
                """)

        @OptionGroup var places: Places

        @Option(help: "libvirt connection of this host.")
        var uri = "qemu:///system"

        @Flag(help: "Say that this host owns its VMs still: no other runs them. Required.")
        var alone = false

        func validate() throws {
            guard alone else {
                throw ValidationError("say --alone: that no other host runs these VMs is your word, and is recorded")
            }
        }

        func run() async throws {
            try await Failure.reporting {
                let hypervisor = try LibvirtHypervisor(uri: uri)
                _ = try await hypervisor.information()
                let owned = try OwnershipRecords.confirmAlone(
                    store: places.store, runtime: places.runtime, at: SystemClock().now)
                let records = OwnershipRecords(reading: places.store, runtime: places.runtime)
                for fault in try records.standings().compactMap(\.fault) {
                    Terminal.complain("\(fault.message): left alone; \(fault.hint)")
                }
                guard !owned.isEmpty else { return Terminal.say("this host owns no protected VM") }
                for record in owned {
                    guard let domain = try await hypervisor.domain(uuid: record.vmUUID) else {
                        Terminal.say("\(record.vmUUID): owned, and not defined here")
                        continue
                    }
                    let ran = domain.power.isActive
                    try await hypervisor.start(uuid: record.vmUUID, paused: false)
                    Terminal.say("\(domain.name): \(ran ? "runs already" : "started") (epoch \(record.epoch), alone)")
                }
            }
        }
    }
}
