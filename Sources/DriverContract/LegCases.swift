import BlockReplication
import SiteModel

extension DriverContract {
    static let legCases: [DriverContract] = [
        DriverContract("a first copy in legs goes on from where it came, and is a point once it is whole") { site in
            let maker = try await PointMaker(site)
            var known = GrowingBase(disks: maker.disks.map { GrowingDisk(target: $0.target, size: $0.size) })
            var last = ""
            for number in 1...4 {
                if number > 1 { try await site.letItWrite() }
                let generation = site.identifier()
                let (ticket, base) = try await maker.openLeg(generation)
                var found = base
                // The leg that was given up may have written into what counts; any other has not.
                if number == 3 { for index in found.disks.indices { found.disks[index].isMixed = nil } }
                try require("the base of leg \(number)", found, known)
                let summary = try await maker.sendLeg(ticket, base, seconds: number < 4 ? 0 : 3600)
                guard let leg = summary.leg else { throw ContractBroken(what: "a leg does not say how far it came") }
                try await declined(.checksumMismatch, "other checksums") {
                    try await maker.endLeg(generation, summary, checksums: summary.checksums.mapValues { _ in "00" })
                }
                try await declined(.notFound, "the end of another leg") {
                    try await maker.endLeg(site.identifier(), summary)
                }
                if number == 2 {
                    // A small disk may be whole already.
                    if !known.disks.allSatisfy({ leg.frontiers[$0.target] == $0.size }) {
                        try await declined(.invalidArgument, "sealing a copy of which a part is missing") {
                            _ = try await maker.seal(generation, summary.checksums)
                        }
                    }
                    // What came of this leg counts for nothing.
                    try await site.receiver.abandonPoint(relationship: maker.relationship, generation: generation)
                    continue
                }
                try await maker.endLeg(generation, summary)
                known.legs += 1
                known.bytes += summary.bytes
                known.checkpoint = generation
                for (index, disk) in known.disks.enumerated() {
                    let frontier = leg.frontiers[disk.target] ?? 0
                    let isFurther = frontier > disk.frontier || disk.frontier == disk.size
                    try require(isFurther, "\(disk.target) came no further than \(disk.frontier)")
                    known.disks[index].frontier = frontier
                }
                try require("points", try await maker.generations(), [])
                last = generation
                guard number == 4 else { continue }
                try require("whether nothing is missing after leg \(number)", known.isWhole, true)
                let sealed = try await maker.seal(generation, summary.checksums)
                try require("points", try await site.receiver.points(relationship: maker.relationship), [sealed])
            }
            try await site.letItWrite()
            try await maker.point(after: last)
            try require("points", try await maker.generations().count, 2)
            try await maker.forget()
        },
        DriverContract("a first copy that is given up is begun anew") { site in
            let maker = try await PointMaker(site)
            func leg() async throws -> Int {
                let generation = site.identifier()
                let (ticket, base) = try await maker.openLeg(generation)
                let summary = try await maker.sendLeg(ticket, base, seconds: 0)
                try await maker.endLeg(generation, summary)
                return base.legs
            }
            try require("legs before the first", try await leg(), 0)
            try require("legs before the second", try await leg(), 1)
            try await site.receiver.forgetOwnership(relationship: maker.relationship)
            try await site.tidyUp()
            try require("legs after protection ended", try await leg(), 0)
            let (other, another) = (site.identifier(), site.identifier())
            _ = try await maker.open(other, after: nil)
            try await site.tidyUp()
            try require("legs after a point in one go", try await maker.openLeg(another).base.legs, 0)
            try await maker.forget()
        },
    ]
}
