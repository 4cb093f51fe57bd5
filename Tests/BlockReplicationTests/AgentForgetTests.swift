import Foundation
import Glibc
import SiteModel
import Testing

@testable import BlockReplication

@Suite("An agent forgets a relationship")
struct AgentForgetTests {
    @Test(
        "boot and test images go with it, unless a process has one open",
        arguments: [["--persistent"], ["--persistent", "--read-only"]])
    func bootImages(options: [String]) async throws {
        try await TwoSites.with { sites in
            let g = TwoSites.generation(1)
            let image = try await sites.makeImage("disk", mebibytes: 4)
            try await sites.cycle(g, after: nil, [.stopped(image, mebibytes: 4, .everything)])
            var boots: [BootImage] = []
            for epoch in [0, 2] {
                boots += try await sites.clientB.createBootImages(
                    relationship: sites.relationship, generation: g, epoch: epoch)
            }
            let top = try #require(boots.last?.chain.first)
            let socket = sites.file("user")
            let user = try HelperProcess(
                ["qemu-nbd", "--format=qcow2", "--socket=\(socket)"] + options + [top.path],
                outputPath: sites.file("user.log"))
            defer { user.end() }
            // The answer to a first client shows that the image is open.
            #expect(
                await eventually { (try? await runTool("nbdinfo", "--size", "nbd+unix://?socket=\(socket)")) != nil })
            let busy = await code { try await sites.clientB.forget(relationship: sites.relationship) }
            #expect(busy == .busy)
            #expect(try await sites.clientB.points(relationship: sites.relationship).map(\.generation) == [g])
            for path in boots.flatMap(\.chain).map(\.path) { #expect(access(path, F_OK) == 0, "\(path) is gone") }
            user.end()
            try await sites.clientB.forget(relationship: sites.relationship)
            let left = try FileManager.default.contentsOfDirectory(
                atPath: sites.file("b/store/points/\(sites.relationship)"))
            #expect(left == [])
            #expect(try await sites.clientB.points(relationship: sites.relationship).isEmpty)
        }
    }
}
