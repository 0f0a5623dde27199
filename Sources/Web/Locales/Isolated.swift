// Names inside sentences of the other direction.

extension String {
    /// For the middle of a sentence: set apart (Unicode's isolates, UAX #9), so that it neither turns the words around it in a text from right to left nor is turned by them.
    public var isolated: String { "\u{2068}\(self)\u{2069}" }
}
