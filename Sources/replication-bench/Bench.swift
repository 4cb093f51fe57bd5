import BenchFigures
import Foundation
import Glibc

/// Prints the figures of replication beside their peers and limits; its options are those of `FigureReport`, and `--size MIB`
/// for smaller disks.
@main
struct Bench {
    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.first == "agent" { return try await AgentProcess.serve(Array(arguments.dropFirst())) }
        signal(SIGPIPE, SIG_IGN)
        let mebibytes = arguments.firstIndex(of: "--size").flatMap {
            $0 + 1 < arguments.count ? UInt64(arguments[$0 + 1]) : nil
        }
        let bench = try Workbench(size: max(64, mebibytes ?? 4096) << 20)
        defer { bench.remove() }
        let sites = try await Sites(bench, folder: bench.memory)
        defer { sites.end() }
        let diskSites = try await Sites(bench, folder: bench.disk)
        defer { diskSites.end() }
        let encryptedSites = try await Sites(bench, folder: bench.memory, encrypted: true)
        defer { encryptedSites.end() }
        let guests = GuestSite(bench)
        defer { guests.end() }
        // Whoever interrupts it finds nothing left behind.
        let signals = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler {
                guests.end()
                sites.end()
                diskSites.end()
                encryptedSites.end()
                bench.remove()
                exit(130)
            }
            source.resume()
            return source
        }
        defer { for source in signals { source.cancel() } }
        let contests =
            firstCopyContests(bench, sites) + encryptionContests(bench, plain: sites, encrypted: encryptedSites)
            + realDiskContests(bench, diskSites)
            + changedContests(bench, sites) + noMapContests(bench, sites) + wireContests(bench, sites)
            + foldContests(bench, sites) + verifyContests(bench, sites) + memoryContests(bench, sites)
            + guestContests(bench, sites, guests) + instantContests(bench, guests)
        try await FigureReport.run("replication", contests: contests, note: Machine.note(bench))
    }
}
