import BlockReplication
import SiteModel

extension DriverContract {
    static let pointCases: [DriverContract] = [
        DriverContract("a point is whole or absent: opened, sent, sealed, and the same when sealed again") { site in
            let maker = try await PointMaker(site)
            let generation = site.identifier()
            let ticket = try await maker.open(generation, after: nil)
            try require("points while one is open", try await maker.generations(), [])
            try await declined(.invalidArgument, "sealing what was not sent") {
                _ = try await maker.seal(generation, [:])
            }
            let again = try await maker.open(generation, after: nil)
            let first = try await maker.send(again, since: nil)
            try require(first.bytes > 0, "a first copy moved nothing")
            try require("points before it is sealed", try await maker.generations(), [])
            let sealed = try await maker.seal(generation, first.checksums, number: 5)
            try require(sealed.number >= 5 && sealed.generation == generation, "\(sealed)")
            try require("sealed again", try await maker.seal(generation, first.checksums, number: 9), sealed)
            try require("points", try await site.receiver.points(relationship: maker.relationship), [sealed])
            try await site.tidyUp()
            try await declined(.notAuthorized, "a ticket of an earlier attempt") {
                _ = try await maker.send(ticket, since: nil)
            }
            try await maker.forget()
            try require("points after all is forgotten", try await maker.generations(), [])
        },
        DriverContract("the next point moves what changed; a parent that is not the newest is refused") { site in
            let maker = try await PointMaker(site)
            let first = try await maker.point(after: nil)
            let full = try await site.receiver.points(relationship: maker.relationship)[0]
            try await site.letItWrite()
            let second = try await maker.point(after: first)
            let points = try await site.receiver.points(relationship: maker.relationship)
            try require("points", points.map(\.generation), [first, second])
            try require("its parent", points[1].previous, first)
            try require(points[1].number > points[0].number, "numbers go up: \(points.map(\.number))")
            try require(points[1].bytes > 0 && points[1].bytes < full.bytes, "bytes of both: \(points.map(\.bytes))")
            for stale in [first, nil, site.identifier()] {
                try await declined(.staleParent, "the parent \(stale ?? "none")") {
                    _ = try await maker.open(site.identifier(), after: stale)
                }
            }
            try await declined(.invalidArgument, "a generation that exists") {
                _ = try await maker.open(first, after: second)
            }
            try await maker.forget()
        },
        DriverContract("a point that is given up leaves nothing; the one before it is as it was") { site in
            let maker = try await PointMaker(site)
            let first = try await maker.point(after: nil)
            let generation = site.identifier()
            let ticket = try await maker.open(generation, after: first)
            let summary = try await maker.send(ticket, since: first)
            for _ in 1...2 {
                try await site.receiver.abandonPoint(relationship: maker.relationship, generation: generation)
            }
            try await declined(.notFound, "sealing what was given up") {
                _ = try await maker.seal(generation, summary.checksums)
            }
            try require("points", try await maker.generations(), [first])
            try await maker.forget()
        },
        DriverContract("a point of an ownership that is over, or with other checksums, does not become one") { site in
            let maker = try await PointMaker(site)
            let generation = site.identifier()
            let ticket = try await maker.open(generation, after: nil)
            let summary = try await maker.send(ticket, since: nil)
            try await declined(.checksumMismatch, "other checksums") {
                _ = try await maker.seal(generation, summary.checksums.mapValues { _ in "00" })
            }
            try await site.receiver.recordOwnership(maker.record(epoch: 2, owner: "second"))
            try await declined(.staleEpoch, "an older epoch") {
                _ = try await maker.seal(generation, summary.checksums)
            }
            try await declined(.staleEpoch, "another owner") {
                _ = try await maker.seal(generation, summary.checksums, epoch: 2, owner: "first")
            }
            try require("points", try await maker.generations(), [])
            try await maker.forget()
        },
        DriverContract("points that are not kept go, pinned and newer ones stay; maps tell what newer points changed") {
            site in
            let maker = try await PointMaker(site)
            var all = [try await maker.point(after: nil)]
            for _ in 1...3 {
                try await site.letItWrite()
                all.append(try await maker.point(after: all.last))
            }
            let receiver = site.receiver
            try await declined(.invalidArgument, "keeping none") {
                _ = try await receiver.keepPoints(relationship: maker.relationship, keeping: [], pinned: [all[1]])
            }
            try await declined(.notFound, "keeping what is not there") {
                _ = try await receiver.keepPoints(
                    relationship: maker.relationship, keeping: [site.identifier()], pinned: [])
            }
            // Who names the third alone knows nothing of the fourth.
            let kept = try await receiver.keepPoints(
                relationship: maker.relationship, keeping: [all[2]], pinned: [all[1]])
            try require("kept", kept.map(\.generation), Array(all[1...]))
            let later = try await receiver.keepPoints(
                relationship: maker.relationship, keeping: [all[2], all[3]], pinned: [])
            try require("kept without the pin", later.map(\.generation), Array(all[2...]))
            let newer = try await receiver.extentsNewer(relationship: maker.relationship, than: all[2])
            try require(newer.values.contains { !$0.isEmpty }, "the newest point changed something: \(newer)")
            let none = try await receiver.extentsNewer(relationship: maker.relationship, than: all[3])
            try require("newer than the newest", none.values.allSatisfy(\.isEmpty), true)
            try await receiver.dropPoints(relationship: maker.relationship, allBut: all[2])
            try require("points after a commit", try await maker.generations(), [all[2]])
            let maps = try await receiver.extentsNewer(relationship: maker.relationship, than: all[2])
            try require("maps of dropped points", maps, newer)
            let xml = try await receiver.domainXML(relationship: maker.relationship, generation: all[2])
            try require(xml.contains(site.vm.uuid), "the point keeps the VM's definition")
            for (what, body) in [
                (
                    "its definition",
                    { _ = try await receiver.domainXML(relationship: maker.relationship, generation: all[3]) }
                ),
                (
                    "dropping all but it",
                    { try await receiver.dropPoints(relationship: maker.relationship, allBut: all[3]) }
                ),
                (
                    "newer than nothing known",
                    {
                        _ = try await receiver.extentsNewer(relationship: maker.relationship, than: site.identifier())
                    }
                ),
            ] as [(String, () async throws -> Void)] { try await declined(.notFound, what, body) }
            try await maker.forget()
        },
    ]
}
