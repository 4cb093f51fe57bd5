import BlockReplication
import Foundation
import Hypervisors
import SiteModel
import Testing
import VaultStore

@testable import RecoveryEngine

extension JudgingTests {
    private static let gibibyte: UInt64 = 1 << 30

    static let hosts: [JudgingCase<HostFacts>] = [
        .init("libvirt is silent", "libvirt-answers", .fail, "gone") { $0.libvirt = .unknown("gone") },
        .init("libvirt is silent: its version is not judged", "libvirt-version", .skipped, "gone") {
            $0.libvirt = .unknown("gone")
        },
        .init("libvirt before incremental backups", "libvirt-version", .fail, "7.6.0") {
            $0.setVersions(libvirt: "7.5.99", qemu: "7.2.0")
        },
        .init("libvirt at its floor", "libvirt-version", .warn, "9.0.0") {
            $0.setVersions(libvirt: "7.6.0", qemu: "7.2.0")
        },
        .init("QEMU without extended L2", "qemu-version", .fail, "5.2.0") {
            $0.setVersions(libvirt: "9.0.0", qemu: "5.1.0")
        },
        .init("QEMU at its floor", "qemu-version", .warn, "7.2.0") { $0.setVersions(libvirt: "9.0.0", qemu: "5.2.0") },
        .init("QEMU known to be bad", "qemu-version", .fail, "damages") {
            $0.setVersions(libvirt: "9.0.0", qemu: "4.1.0")
        },
        .init("newer than tested", "qemu-version", .ok, "11.0.0") { $0.setVersions(libvirt: "12.0.0", qemu: "11.0.0") },
        .init("no version at all", "qemu-version", .warn, "no version") {
            $0.setVersions(libvirt: "9.0.0", qemu: "unknown")
        },
        .init("no QEMU", "backup-capability", .fail, "qemu-system-x86") {
            $0.capabilities = .known(HypervisorCapabilities(emulator: nil, supportsBackup: nil, activeNetworks: []))
        },
        .init("backups unsupported", "backup-capability", .fail, "cannot") {
            $0.capabilities = .known(HypervisorCapabilities(emulator: "/q", supportsBackup: false, activeNetworks: []))
        },
        .init("backups not spoken of", "backup-capability", .warn, "does not say") {
            $0.capabilities = .known(HypervisorCapabilities(emulator: "/q", supportsBackup: nil, activeNetworks: []))
        },
        .init("in no cloud", "host-in-cloud", .warn, "no cloud") { $0.clouds = [] },
        .init("agent is silent", "agent-answers", .fail, "perilune agent --site a --socket /run/agent.sock") {
            $0.agent = .unknown("nobody listens")
        },
        .init("agent of another version", "agent-version", .fail, "0.1.0") { $0.engineVersion = "0.2.0" },
        .init("agent older than the checks", "agent-version", .fail, "does not know") {
            $0.agentIsTooOld = true
            $0.answers = .unknown("too old")
        },
        .init("agent older than the checks: the store is not judged", "store-writable", .skipped, "too old") {
            $0.answers = .unknown("too old")
        },
        .init("agent of another site", "agent-place", .fail, "site 'a', the vault says 'z'") { $0.host.site = "z" },
        .init("agent with another store", "agent-place", .fail, "/elsewhere") { $0.host.store = "/elsewhere" },
        .init("agent that listens everywhere", "agent-place", .fail, "0.0.0.0:7731") {
            $0.setAnswers { $0.dataAddress = "0.0.0.0:7731" }
        },
        .init("no qemu-nbd", "agent-programs", .fail, "apt-get install qemu-utils") {
            $0.setAnswers { $0.programs = [ProgramFacts(name: "qemu-nbd", path: nil)] }
        },
        .init("no start hook", "start-hook", .fail, "install-hook --store /srv/points --runtime /run/a") {
            $0.setAnswers {
                $0.startHook = StartHookFacts(path: "/etc/hook", runtime: "/run/a", problem: "there is none")
            }
        },
        .init("an agent that does not look for the hook", "start-hook", .skipped, "does not look") {
            $0.setAnswers { $0.startHook = nil }
        },
        .init("data in the clear, by name", "agent-tls", .warn, "unencrypted") {
            $0.setAnswers { $0.security = SecurityFacts(isEncrypted: false, isLocal: false) }
        },
        .init("clock 1.9 s ahead", "clock-skew", .ok, "1.9") { $0.skew = .known(.init(seconds: 1.9, uncertainty: 0)) },
        .init("clock 5 s behind", "clock-skew", .warn, "behind") {
            $0.skew = .known(.init(seconds: -5, uncertainty: 0.1))
        },
        .init("clock a minute ahead", "clock-skew", .fail, "ahead") {
            $0.skew = .known(.init(seconds: 60, uncertainty: 1))
        },
        .init("a slow answer proves nothing", "clock-skew", .ok, "4.0") {
            $0.skew = .known(.init(seconds: 4, uncertainty: 3))
        },
        .init("store read-only", "store-writable", .fail, "Read-only") {
            $0.setAnswers { $0.store.writeFailure = "Read-only file system" }
        },
        .init("store full", "store-space", .fail, "1.0 GiB more") { $0.set(free: 1 << 20) },
        .init("store that may fill up", "store-space", .warn, "2.0 GiB") { $0.set(free: gibibyte + 1) },
        .init("no scratch space", "scratch-space", .fail, "1.0 GiB") { $0.set(free: gibibyte - 1) },
        .init("no scratch needed", "scratch-space", .ok, "nothing is replicated") {
            $0.set(free: 0)
            $0.scratchNeeded = 0
        },
        .init("store on a share", "store-file-system", .warn, "nfs4") {
            $0.setAnswers { $0.store.fileSystem = "nfs4" }
        },
        .init("store of two hosts", "store-alone", .fail, "host-b") { $0.storeSharedWith = ["host-b"] },
        .init("firewall drops", "replication-port", .fail, "firewall on the way drops") {
            $0.links[0].outcome = .known(EndpointOutcome(failure: EndpointFailure(.timedOut, "no answer")))
        },
        .init("agent there is off", "replication-port", .fail, "Start the agent of host-b") {
            $0.links[0].outcome = .known(EndpointOutcome(failure: EndpointFailure(.refused, "refused")))
        },
        .init("no agent at the port", "replication-port", .fail, "no agent") {
            $0.links[0].outcome = .known(EndpointOutcome(failure: EndpointFailure(.notAnAgent, "no agent")))
        },
        .init("its agent cannot try", "replication-port", .skipped, "silent") {
            $0.links[0].outcome = .unknown("silent")
        },
        .init("no fence", "fence-command", .warn, "your word") { $0.host.fence = [] },
        .init("fence is gone", "fence-command", .fail, "not there") { $0.fenceProblem = "it is not there" },
    ]

    @Test("Hosts", arguments: hosts)
    func host(_ row: JudgingCase<HostFacts>) throws { try row.judge(.healthy, by: HostChecks.all) }
}
