import Hypervisors
import SiteModel
import Testing

@testable import RecoveryEngine

/// The reference allows 16 disks; docs/from-site-recovery.md says how many were tried here.
@Suite("A VM with many disks")
struct ManyDisksTests {
    @Test("All its disks are in each point, go over and come home")
    func whole() async throws {
        let rig = try await Rig(vms: [])
        let names = (0..<VMChecks.measuredDisks).map { "vd\(Character(UnicodeScalar(97 + UInt8($0 % 26))))\($0)" }
        let disks = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, [0: $0, 7: $0 + 1]) })
        try rig.world.addVM("wide", at: "a", disks: disks, network: "prod-a")
        func contents(at host: String) -> [String: Blocks] {
            Dictionary(
                uniqueKeysWithValues: names.compactMap { name in
                    rig.world.content("wide", at: host, name).map { (name, $0) }
                })
        }
        try await rig.protect("wide")
        for (index, name) in names.enumerated() { rig.world.write("wide", at: "a", disk: name, [3: 100 + index]) }
        try await rig.cycle("wide")
        let written = contents(at: "a")
        #expect(written.count == VMChecks.measuredDisks)
        #expect(try await rig.newestPoint("wide", at: "b") == written, "one point, and every disk in it")

        for site in ["b", "a"] {
            try await rig.run(.plannedFailover, "wide")
            #expect(rig.world.power("wide", at: site) == .running)
            #expect(contents(at: site) == written)
            try await rig.run(.commit, "wide")
            try await rig.run(.reverse, "wide")
        }
        #expect(rig.world.violations == [])
    }
}
