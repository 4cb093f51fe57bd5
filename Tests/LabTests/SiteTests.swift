import Foundation
import Glibc
@testable import Lab
import Testing

@Suite("Sites of the lab", .serialized, .enabled(if: mayMakeLabs, "the lab needs root"))
struct SiteTests {
    @Test("A site is lost at one instant, returns with its disks, and leaves nothing when taken down")
    func lossAndReturn() async throws {
        let guest = LabGuest(name: "probe", address: "10.77.0.20", disks: 2, recordsPerSecond: 100, payloadKiB: 16)
        var twin = LabGuest(name: "probe-test", address: guest.address)
        twin.paused = true
        twin.ignoresPowerButton = true

        try await withLab("sites") { lab in
            let site = lab.layout(of: .a)
            let traces = LabTraces(root: lab.configuration.root)

            try await timed("two sites up") { try await lab.up() }
            #expect(try await lab.status().map(\.state) == [.up, .up])
            #expect(try await lab.status().map(\.libvirtAnswers) == [true, true])
            #expect(try traces.mounts() == [], "the machine itself mounts nothing")
            #expect(try FileManager.default.contentsOfDirectory(atPath: site.fileSystem) == [])

            // Production and test network have the same subnet and do not see each other.
            try await lab.createGuests([twin], at: .a, network: "test-net")
            try await timed("one guest made and READY") { try await lab.createGuests([guest], at: .a) }
            let before = try await report(from: guest.address, in: lab) { $0.records >= 200 }
            #expect(before.host == "probe")
            #expect(before.intact && before.bootRecords == 0 && before.disks == 2)
            let isolated = try await lab.report(from: twin.address, at: .a, network: "test-net")
            #expect(isolated.host == "probe-test" && isolated.paused && isolated.records == 0)
            // The guest's clock comes from whole seconds, twice, so it may be that much slow.
            let now = UInt64(Date().timeIntervalSince1970 * 1000)
            #expect(before.now <= now && before.now + 3000 > now)

            try await virsh(["shutdown", twin.name], at: site)
            try await wait(for: "the press of the power button", within: .seconds(60)) {
                (try? String(contentsOfFile: site.console(of: twin.name), encoding: .utf8))?.contains("ignored")
                    ?? false
            }
            #expect(try await virsh(["domstate", twin.name], at: site).hasPrefix("running"))

            try await timed("site lost") { try await lab.lose(.a) }
            #expect(try traces.processes().filter { $0.contains("\(site.directory)/") } == [])
            #expect(try traces.loopDevices().count == 1, "only the other site's file system is mounted")
            #expect(try await lab.status().map(\.state) == [.lost, .up])
            #expect(try await lab.status(of: .b).libvirtAnswers)
            #expect(!FileManager.default.fileExists(atPath: site.libvirtSocket))
            try await lab.lose(.a)
            let acknowledged = try lastAcknowledged(on: site.console(of: guest.name))
            #expect(acknowledged >= 200)

            try await timed("site returned") { try await lab.returnSite(.a) }
            let guests = try await lab.status(of: .a).guests
            #expect(guests.map(\.name) == ["probe", "probe-test"])
            #expect(guests.map(\.state) == ["shut off", "shut off"], "nothing starts by itself")
            try await lab.createGuests([guest], at: .a)
            #expect(try await lab.status(of: .a).guests == guests, "a guest that has run is left alone")

            try await timed("guest started and READY") { try await lab.start([guest.name], at: .a) }
            let after = try await report(from: guest.address, in: lab) { $0.records > $0.bootRecords }
            #expect(after.bootID != before.bootID)
            #expect(after.intact, "\(after.error)")
            #expect(after.bootRecords >= acknowledged, "what was acknowledged is on the disks")
            #expect(after.bootLast >= before.last)

            try await virsh(["shutdown", guest.name], at: site)
            try await wait(for: "the guest's power off", within: .seconds(60)) { () throws(LabError) in
                try await virsh(["domstate", guest.name], at: site).hasPrefix("shut off")
            }
            // One byte of record 100 is changed on the second disk: the guest must notice by itself, and write no
            // more.
            let write = "write -P 0x5a \((1 << 20) + 99 * 512 + 200) 1"
            let alter = ["qemu-io", "-f", "qcow2", "-c", write, guest.diskFiles(at: site)[1]]
            try await Command(try lab.entry(to: .a) + alter).output()
            try await lab.start([guest.name], at: .a)
            let altered = try await lab.report(from: guest.address, at: .a)
            #expect(!altered.intact && altered.paused)
            #expect(altered.error == "disk 1: broken chain" && altered.records == 99)
        }
    }

    @Test("A lab that is half up is completed by up and removed by down")
    func halfUp() async throws {
        let agent = try standInAgent()
        defer { unlink(agent) }
        try await withLab("half", agentProgram: agent) { lab in
            try await lab.up()
            #expect(try await lab.status().map(\.agentAnswers) == [true, true])

            kill(try pid(of: "libvirtd", at: lab.layout(of: .a)), SIGKILL)
            try await lab.up()
            #expect(try await lab.status(of: .a).libvirtAnswers)

            try await lab.lose(.b)
            #expect(try await !lab.status(of: .b).agentAnswers)
            // The site's namespace lives on in its libvirtd and agent, without the process that is remembered for it.
            kill(try pid(of: "holder", at: lab.layout(of: .a)), SIGKILL)
        }
    }

    @Test("Each site describes how it is reached and fenced")
    func description() throws {
        let lab = Lab(try LabConfiguration(root: "/tmp/perilune-lab-none", agentProgram: "/usr/bin/perilune"))
        let site = lab.siteDescription(.b)
        #expect(site.libvirtURI == "qemu+unix:///system?socket=/tmp/perilune-lab-none/b/run/libvirt-sock")
        #expect(site.agentDataAddress == "10.99.0.2:7731")
        #expect(site.fence == ["/usr/bin/perilune", "lab", "lose", "b", "--root", "/tmp/perilune-lab-none"])
    }

    @discardableResult
    private func virsh(_ words: [String], at site: SiteLayout) async throws(LabError) -> String {
        try await Command(["virsh", "--connect", site.libvirtURI] + words).output()
    }

    /// The number of the last record a guest acknowledged on its console.
    private func lastAcknowledged(on console: String) throws -> UInt64 {
        let text = try String(contentsOfFile: console, encoding: .utf8)
        let line = try #require(text.split(whereSeparator: \.isNewline).last { $0.hasPrefix("ACK ") })
        return try #require(UInt64(line.split(separator: " ")[1]))
    }

    /// The pid in the second line of a record, which is /proc/PID/stat of the process.
    private func pid(of name: String, at site: SiteLayout) throws -> pid_t {
        let record = try String(contentsOfFile: "\(site.processes)/\(name)", encoding: .utf8)
        let stat = try #require(record.split(separator: "\n").last)
        return try #require(pid_t(stat.prefix { $0 != " " }))
    }

    /// A program that, called as an agent, listens at the agent's socket: the lab cares for no more.
    private func standInAgent() throws -> String {
        let file = "/tmp/perilune-lab-agent-\(getpid())"
        let script = """
            #!/bin/sh
            [ "$1" != authority ] && [ "$2" != install-hook ] || exit 0
            exec nbdkit --foreground --unix "$5" null size=1M

            """
        try Data(script.utf8).write(to: URL(filePath: file))
        chmod(file, 0o700)
        return file
    }
}
