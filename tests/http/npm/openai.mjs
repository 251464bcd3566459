// Asks a collection with OpenAI's library, whole and streamed, and prints what a chat window would show.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const question = { model: "sift/documents", messages: [{ role: "user", content: process.argv[3] }] };
const whole = await client.chat.completions.create(question);
let streamed = "";
for await (const chunk of await client.chat.completions.create({ ...question, stream: true })) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
}
const models = (await client.models.list()).data.map((model) => model.id);
const message = whole.choices[0].message;
console.log(JSON.stringify({ text: message.content, annotations: message.annotations, streamed, models }));
