FROM python:3.11-slim
RUN useradd --create-home videval && mkdir -p /var/lib/videval && chown videval /var/lib/videval
COPY . /src
RUN pip install --no-cache-dir /src
USER videval
WORKDIR /home/videval
CMD ["videval", "fleet"]
