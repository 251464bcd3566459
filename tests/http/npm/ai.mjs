// Asks a collection with Vercel's AI SDK, whole and streamed, and prints what a chat window would show.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";

const model = createOpenAICompatible({ name: "sift", baseURL: process.argv[2] })("sift/documents");
const { text } = await generateText({ model, prompt: process.argv[3], maxRetries: 0 });
let streamed = "";
for await (const piece of streamText({ model, prompt: process.argv[3], maxRetries: 0 }).textStream) streamed += piece;
console.log(JSON.stringify({ text, streamed }));
