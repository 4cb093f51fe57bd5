import Foundation
import Glibc
@testable import Lab
import TestSupport
import Testing

@Suite("What a site mounts", .enabled(if: mayMakeLabs, "mounting needs root"))
struct MountTableTests {
    @Test("Every mount is seen, however many there are: a site whose own come late in the list is not taken for lost")
    func many() async throws {
        let folder = "/tmp/perilune-mounts-\(getpid())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        let mount = """
            for n in $(seq 1 80); do mkdir "$1/$n" && mount -t tmpfs none "$1/$n" || exit 1; done
            : >"$1/ready"; exec sleep infinity
            """
        let holder = try Program(["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, "sh", folder])
        defer {
            holder.end(SIGKILL)
            try? FileManager.default.removeItem(atPath: folder)
        }
        try await until("all is mounted") { access("\(folder)/ready", F_OK) == 0 || !holder.isRunning }
        let table = try #require(MountTable(pid: holder.processIdentifier))
        #expect(table.below(folder).count == 80)
    }
}
