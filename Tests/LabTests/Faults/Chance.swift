/// Random numbers from a seed: the same seed makes the same round.
struct Chance: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0xD134_2543_DE82_EF95 &+ 0x9E37_79B9_7F4A_7C15 }

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func number(in range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

    mutating func seconds(in range: ClosedRange<Double>) -> Double { Double.random(in: range, using: &self) }

    /// True once in so many times, on average.
    mutating func once(in count: Int) -> Bool { number(in: 1...count) == 1 }

    mutating func one<Element>(of elements: [Element]) -> Element { elements[number(in: 0...elements.count - 1)] }

    /// Bytes that no compressor makes shorter.
    mutating func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            var offset = 0
            while offset < count {
                withUnsafeBytes(of: next()) { word in
                    let part = min(8, count - offset)
                    UnsafeMutableRawBufferPointer(
                        rebasing: UnsafeMutableRawBufferPointer(buffer)[offset..<offset + part]
                    )
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: word[..<part]))
                }
                offset += 8
            }
            filled = count
        }
    }
}
