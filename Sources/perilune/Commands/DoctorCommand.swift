internal import ArgumentParser
import BlockReplication
import Foundation
import Hypervisors
import RecoveryEngine
import SiteModel
import VaultStore

/// Looks whether everything that recovery needs is there; each line that fails says what to do.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Checks programs, vault, hosts, agents, disk and scratch space.")

    @OptionGroup var options: VaultOptions

    func run() async throws {
        try await Failure.reporting {
            var findings = Doctor.programs()
            findings += await Doctor(path: options.path).vaultAndHosts()
            if options.json {
                Terminal.say(try JSON.text(findings))
            } else {
                Terminal.say(Self.text(findings, width: Terminal.width()))
            }
            if findings.contains(where: { !$0.passed }) { throw ExitCode(Failure.failed) }
        }
    }

    /// One line a finding, and under each that failed what to do.
    private static func text(_ findings: [Finding], width: Int) -> String {
        let column = findings.map(\.subject.count).max() ?? 0
        return findings.flatMap { finding in
            let subject = finding.subject.padding(toLength: column, withPad: " ", startingAt: 0)
            let edge = "\(finding.passed ? "ok  " : "FAIL")  \(subject)  "
            let indent = String(repeating: " ", count: edge.count)
            let room = max(30, width - edge.count)
            let found = Text.wrap(finding.found, width: room)
            let cure = finding.passed ? [] : Text.wrap("to do: \(finding.cure)", width: room)
            return zip([edge] + Array(repeating: indent, count: found.count + cure.count), found + cure).map(+)
        }.joined(separator: "\n")
    }
}

/// One thing that was looked at.
struct Finding: Encodable {
    var subject: String
    var passed: Bool
    var found: String
    /// What to do where it failed.
    var cure: String
}

struct Doctor {
    let path: String

    static func programs() -> [Finding] {
        [
            ("qemu-system-x86_64", "qemu-system-x86"), ("qemu-img", "qemu-utils"), ("qemu-nbd", "qemu-utils"),
            ("libvirtd", "libvirt-daemon"), ("virsh", "libvirt-clients"),
        ].map { program, package in
            let folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"]
            let place = folders.map { $0 + "/" + program }.first { FileManager.default.isExecutableFile(atPath: $0) }
            return Finding(
                subject: program, passed: place != nil, found: place ?? "not installed",
                cure: "apt-get install \(package)")
        }
    }

    func vaultAndHosts() async -> [Finding] {
        let vault: SQLiteVault
        do {
            vault = try SQLiteVault.open(path: path, create: false)
        } catch {
            let words = Failure.words(for: error)
            return [
                Finding(
                    subject: "vault", passed: false, found: words.message, cure: words.hint ?? "perilune vault create")
            ]
        }
        var findings = [Finding(subject: "vault", passed: true, found: path, cure: "")]
        do {
            let (hosts, relationships) = try await vault.read { vault in
                (try vault.objects(SiteModel.Host.self).map(\.value), try vault.objects(Relationship.self).map(\.value))
            }
            if hosts.isEmpty {
                findings.append(
                    Finding(subject: "hosts", passed: false, found: "none", cure: "register them: vault:host { ... }"))
            }
            for host in hosts { findings += await look(at: host, relationships) }
        } catch {
            findings.append(
                Finding(subject: "vault", passed: false, found: "\(error)", cure: "restore it from its copy"))
        }
        return findings
    }

    private func look(at host: SiteModel.Host, _ relationships: [Relationship]) async -> [Finding] {
        var findings: [Finding] = []
        do {
            let hypervisor = try LibvirtHypervisor(uri: host.uri)
            let information = try await hypervisor.information()
            let networks = try await hypervisor.networks()
            findings.append(
                Finding(
                    subject: "\(host.name): libvirt", passed: true,
                    found: "libvirt \(information.libraryVersion), QEMU \(information.hypervisorVersion), "
                        + "networks \(networks.sorted().joined(separator: ", "))", cure: ""))
        } catch {
            findings.append(
                Finding(
                    subject: "\(host.name): libvirt", passed: false, found: Failure.words(for: error).message,
                    cure: Failure.words(for: error).hint ?? "start libvirtd at \(host.uri)"))
        }
        do {
            let status = try await AgentClient(controlSocket: host.agentSocket).status()
            let needed =
                relationships.filter { [$0.source, $0.target].contains(host.id) }
                .map { ScratchReserve.bytes(for: $0.disks) }.max() ?? ScratchReserve.bytes(for: [])
            findings.append(
                Finding(
                    subject: "\(host.name): agent", passed: true,
                    found: "version \(status.version), store \(status.store)", cure: ""))
            findings.append(
                Finding(
                    subject: "\(host.name): scratch and store", passed: status.freeBytes >= needed,
                    found: "\(Text.bytes(status.freeBytes)) free, \(Text.bytes(needed)) needed",
                    cure: "free space below \(status.store): without scratch space there is no cycle"))
        } catch {
            findings.append(
                Finding(
                    subject: "\(host.name): agent", passed: false, found: Failure.words(for: error).message,
                    cure: "start it there: perilune agent --site \(host.site) --socket \(host.agentSocket) ..."))
        }
        return findings
    }
}
