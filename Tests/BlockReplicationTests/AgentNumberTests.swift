import SiteModel
import Testing

@testable import BlockReplication

@Suite("No number of a point is used twice in a relationship")
struct AgentNumberTests {
    private let g = (1...6).map { TwoSites.generation($0) }

    @Test("a point gets the number asked for, or the next that is free, across a change of direction too")
    func numbers() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 4)
            let disks = [SourceDisk.stopped(image, mebibytes: 4, .differing)]
            let first = [SourceDisk.stopped(image, mebibytes: 4, .everything)]
            #expect(try await sites.cycle(g[0], after: nil, first, number: 3).sealed.number == 3)
            #expect(try await sites.cycle(g[1], after: g[0], disks, number: 3).sealed.number == 4, "3 is taken")
            #expect(try await sites.cycle(g[2], after: g[1], disks, number: 9).sealed.number == 9)
            #expect(try await sites.seal(g[2], [:], number: 20).number == 9, "asked again, the same")

            // The direction turns: A's store is a new one and has used no number.
            let size = DiskGeometry(target: "vda", size: 4 << 20)
            try await sites.clientA.adoptDisks(
                relationship: sites.relationship, vm: sites.vm,
                disks: [AdoptedDisk(target: "vda", size: size.size, image: image)])
            let top = try #require(try await sites.b.service.stores.existing(sites.relationship))
            let path = try #require(try await top.chain(of: .point(g[2]), target: "vda").first)
            var previous: String?
            for (generation, asked, given) in [(g[3], 10, 10), (g[4], 2, 11)] {
                let ticket = try await sites.clientA.openPoint(
                    OpenPoint(
                        relationship: sites.relationship, vm: sites.vm, generation: generation, previous: previous,
                        disks: [size]))
                let moved = try await sites.clientB.sendPoint(
                    SendPoint(ticket: ticket, disks: [.stopped(DiskImage(path), mebibytes: 4, .differing)])
                ) { _ in }
                let sealed = try await sites.clientA.sealPoint(
                    SealPoint(
                        relationship: sites.relationship, generation: generation, number: asked, cause: .planned,
                        at: Timestamp(milliseconds: 1), epoch: 2, owner: "b", domainXML: "<domain/>",
                        checksums: moved.checksums))
                #expect(sealed.number == given)
                previous = generation
            }

            // And turns again: B adopts over its own store, which remembers; the caller knows of 11.
            try await sites.clientB.adoptDisks(
                relationship: sites.relationship, vm: sites.vm,
                disks: [AdoptedDisk(target: "vda", size: size.size, image: DiskImage(path))])
            #expect(try await sites.cycle(g[5], after: nil, disks, number: 12, epoch: 3).sealed.number == 12)
        }
    }

    @Test("a number that cannot be one costs the point and nothing else", arguments: [-1, Int.min, Int.max, 1 << 53])
    func badNumbers(number: Int) async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 4)
            let disks = [SourceDisk.stopped(image, mebibytes: 4, .everything)]
            let thrown = await code { try await sites.cycle(g[0], after: nil, disks, number: number) }
            #expect(thrown == .invalidArgument)
            #expect(try await sites.cycle(g[0], after: nil, disks).sealed.number == 1)
        }
    }
}
