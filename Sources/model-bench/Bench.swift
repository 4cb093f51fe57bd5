import BenchFigures

/// Prints the simulated site's figures; its options are those of `FigureReport`.
@main
struct Bench {
    static func main() async throws {
        try await FigureReport.run("model", modelFigures + scheduleFigures)
    }
}
